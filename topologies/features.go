package topologies

// SingleFeatures are gateways that do one thing each besides forwarding: every stage on and, where it has one, in shadow; and every way of
// treating the entry service. It is by these that somebody can be asked what it can do.
func SingleFeatures(use string) []Gateway {
	var all []Gateway
	add := func(change func(*Gateway)) {
		g := Gateway{}
		g.SetDefaults()
		g.Use = use
		change(&g)
		g.settle()
		all = append(all, g)
	}
	add(func(g *Gateway) { g.TLS = ModeOn })
	plain := []func(*GatewayStages) **StageMode{
		func(s *GatewayStages) **StageMode { return &s.AccessLog }, func(s *GatewayStages) **StageMode { return &s.CORS },
		func(s *GatewayStages) **StageMode { return &s.KeyAuth }, func(s *GatewayStages) **StageMode { return &s.JWT },
		func(s *GatewayStages) **StageMode { return &s.Authorization },
	}
	for i, stage := range plain {
		for _, mode := range []string{ModeOn, ModeShadow} {
			if i > 0 || mode == ModeOn { // a log has no shadow
				add(func(g *Gateway) { *stage(&g.Stages) = &StageMode{mode} })
			}
		}
	}
	for _, mode := range []string{ModeOn, ModeShadow} {
		add(func(g *Gateway) {
			g.Stages.Introspection = &IntrospectionStage{}
			g.Stages.Introspection.SetDefaults()
			g.Stages.Introspection.Mode = mode
		})
		add(func(g *Gateway) {
			g.Stages.RateLimit = &RateLimitStage{}
			g.Stages.RateLimit.SetDefaults()
			g.Stages.RateLimit.Mode = mode
		})
	}
	add(func(g *Gateway) {
		g.Stages.BodyLimit = &BodyLimitStage{}
		g.Stages.BodyLimit.SetDefaults()
	})
	for _, balance := range gatewayBalances[1:] {
		add(func(g *Gateway) { g.Upstream.Balance = balance })
	}
	for _, term := range []func(*GatewayUpstream) *string{
		func(u *GatewayUpstream) *string { return &u.Retries }, func(u *GatewayUpstream) *string { return &u.Breaker },
		func(u *GatewayUpstream) *string { return &u.Health }, func(u *GatewayUpstream) *string { return &u.Bulkhead },
	} {
		add(func(g *Gateway) { *term(&g.Upstream) = ModeOn })
	}
	return all
}
