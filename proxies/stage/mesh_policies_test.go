package stage_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/stagetest"
	"crossroads/proxies/telemetry"
)

const (
	orders = "spiffe://d/ns/shop/sa/orders"
	admin  = "spiffe://d/ns/ops/sa/admin"
)

func meshPolicy(name, action string, set func(p *config.Policy)) config.Policy {
	p := config.Policy{Name: name, Mode: config.On, Action: action}
	if set != nil {
		set(&p)
	}
	return p
}

func from(ids ...string) func(*config.Policy)    { return func(p *config.Policy) { p.Identities = ids } }
func below(paths ...string) func(*config.Policy) { return func(p *config.Policy) { p.Paths = paths } }
func inside(names ...string) func(*config.Policy) {
	return func(p *config.Policy) { p.Namespaces = names }
}
func onPort(ports ...int) func(*config.Policy) { return func(p *config.Policy) { p.Ports = ports } }

func TestPolicies(t *testing.T) {
	get := stage.MeshQuestion{Peer: orders, Method: []byte("GET"), Path: []byte("/items/1"), Port: 80}
	with := func(set func(q *stage.MeshQuestion)) stage.MeshQuestion {
		q := get
		set(&q)
		return q
	}
	path := func(p string) stage.MeshQuestion {
		return with(func(q *stage.MeshQuestion) { q.Path = []byte(p) })
	}
	nobody := with(func(q *stage.MeshQuestion) { q.Peer = "" })
	opaque := stage.MeshQuestion{Peer: orders, Port: 6379, Opaque: true}
	closed := below("/admin/*")
	for name, c := range map[string]struct {
		deny     bool
		policies []config.Policy
		ask      stage.MeshQuestion
		allowed  bool
	}{
		"nothing, open":                     {false, nil, get, true},
		"nothing, closed":                   {true, nil, get, false},
		"allowed by name":                   {true, []config.Policy{meshPolicy("a", "allow", from(orders))}, get, true},
		"another is allowed":                {false, []config.Policy{meshPolicy("a", "allow", from(admin))}, get, false},
		"one of two allows":                 {false, []config.Policy{meshPolicy("a", "allow", from(admin)), meshPolicy("b", "allow", from(orders))}, get, true},
		"deny goes before allow":            {false, []config.Policy{meshPolicy("a", "allow", nil), meshPolicy("d", "deny", from(orders))}, get, false},
		"a deny that does not match":        {true, []config.Policy{meshPolicy("d", "deny", from(admin))}, get, false},
		"a deny that does not match, open":  {false, []config.Policy{meshPolicy("d", "deny", from(admin))}, get, true},
		"by prefix":                         {true, []config.Policy{meshPolicy("a", "allow", from("spiffe://d/ns/shop/*"))}, get, true},
		"no prefix of words":                {true, []config.Policy{meshPolicy("a", "allow", from("spiffe://d/ns/shop/sa/order/*"))}, get, false},
		"by namespace":                      {true, []config.Policy{meshPolicy("a", "allow", inside("shop"))}, get, true},
		"another namespace":                 {true, []config.Policy{meshPolicy("a", "allow", inside("sho"))}, get, false},
		"by method":                         {true, []config.Policy{meshPolicy("a", "allow", func(p *config.Policy) { p.Methods = []string{"GET"} })}, get, true},
		"another method":                    {true, []config.Policy{meshPolicy("a", "allow", func(p *config.Policy) { p.Methods = []string{"PUT"} })}, get, false},
		"by port":                           {true, []config.Policy{meshPolicy("a", "allow", onPort(80))}, get, true},
		"another port":                      {true, []config.Policy{meshPolicy("a", "allow", onPort(81))}, get, false},
		"a denied port, port unknown":       {false, []config.Policy{meshPolicy("d", "deny", onPort(81))}, with(func(q *stage.MeshQuestion) { q.Port = 0 }), false},
		"all parts":                         {true, []config.Policy{meshPolicy("a", "allow", func(p *config.Policy) { from(orders)(p); onPort(81)(p) })}, get, false},
		"off says nothing":                  {false, []config.Policy{meshPolicy("d", "deny", func(p *config.Policy) { p.Mode = config.Off })}, get, true},
		"shadow changes nothing":            {false, []config.Policy{meshPolicy("d", "deny", func(p *config.Policy) { p.Mode = config.Shadow })}, get, true},
		"a shadow allow admits nobody":      {true, []config.Policy{meshPolicy("a", "allow", func(p *config.Policy) { p.Mode = config.Shadow })}, get, false},
		"nobody: allowed to all":            {true, []config.Policy{meshPolicy("a", "allow", nil)}, nobody, true},
		"nobody: allowed to some":           {false, []config.Policy{meshPolicy("a", "allow", from("spiffe://d/*"))}, nobody, false},
		"nobody: allowed by that word":      {true, []config.Policy{meshPolicy("a", "allow", from("unauthenticated"))}, nobody, true},
		"somebody is not nobody":            {true, []config.Policy{meshPolicy("a", "allow", from("unauthenticated"))}, get, false},
		"nobody may be who is denied":       {false, []config.Policy{meshPolicy("d", "deny", from(admin))}, nobody, false},
		"path":                              {true, []config.Policy{meshPolicy("a", "allow", below("/items/*"))}, get, true},
		"path itself":                       {true, []config.Policy{meshPolicy("a", "allow", below("/items/*"))}, path("/items"), true},
		"path, half a word":                 {true, []config.Policy{meshPolicy("a", "allow", below("/items/*"))}, path("/itemsx"), false},
		"path, exact":                       {true, []config.Policy{meshPolicy("a", "allow", below("/items"))}, path("/items/1"), false},
		"everything below the root":         {true, []config.Policy{meshPolicy("a", "allow", below("/*"))}, get, true},
		"a denied path, escaped":            {false, []config.Policy{meshPolicy("d", "deny", closed)}, path("/%61dmin/x"), false},
		"a denied path, with parameters":    {false, []config.Policy{meshPolicy("d", "deny", closed)}, path("/admin;v=1/x"), false},
		"a denied path, both":               {false, []config.Policy{meshPolicy("d", "deny", closed)}, path("/%41dmin%3bx/%61"), true}, // another path: capitals count
		"a denied path, escaped parameters": {false, []config.Policy{meshPolicy("d", "deny", closed)}, path("/admin%3bx/a"), false},
		"another path, escaped":             {false, []config.Policy{meshPolicy("d", "deny", closed)}, path("/%62dmin"), true},
		"an allowed path, escaped":          {true, []config.Policy{meshPolicy("a", "allow", below("/items/*"))}, path("/items/%31"), true},
		"only allowed once decoded":         {true, []config.Policy{meshPolicy("a", "allow", below("/items/*"))}, path("/%69tems/1"), false},
		"opaque: allowed":                   {true, []config.Policy{meshPolicy("a", "allow", onPort(6379))}, opaque, true},
		"opaque: HTTP allows nothing":       {true, []config.Policy{meshPolicy("a", "allow", below("/*"))}, opaque, false},
		"opaque: HTTP denies everything":    {false, []config.Policy{meshPolicy("d", "deny", closed)}, opaque, false},
		"opaque: another's HTTP deny":       {false, []config.Policy{meshPolicy("d", "deny", func(p *config.Policy) { closed(p); from(admin)(p) })}, opaque, true},
	} {
		a := config.MeshAuthorization{Default: config.Allow, Policies: c.policies}
		if c.deny {
			a.Default = config.Deny
		}
		p := stage.NewPolicies(a, metrics().NewAuthorizations(), nil)
		require.Equal(t, c.allowed, p.Allows(&c.ask), name)
	}
}

func TestShadowPoliciesCountAndTell(t *testing.T) {
	m := metrics()
	var told []string
	a := config.MeshAuthorization{Default: config.Allow, Policies: []config.Policy{
		meshPolicy("closed", "deny", func(p *config.Policy) { from(orders)(p); p.Mode = config.Shadow })}}
	p := stage.NewPolicies(a, m.NewAuthorizations(), func(policy, decision, peer string) {
		told = append(told, policy+" "+decision+" "+peer)
	})
	require.True(t, p.Allows(&stage.MeshQuestion{Peer: orders}))
	require.True(t, p.Allows(&stage.MeshQuestion{Peer: admin}))
	require.Equal(t, []string{"closed shadow_denied " + orders}, told)
	require.Equal(t, 1.0, counted(t, m, "gateway_authorization_decisions_total", "shadow_denied"))
	require.Equal(t, 2.0, counted(t, m, "gateway_authorization_decisions_total", "allowed"))
}

// counted adds up the series of a metric that have a label of that value.
func counted(t *testing.T, m *telemetry.Metrics, name, value string) (sum float64) {
	t.Helper()
	families, err := m.Registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, s := range f.Metric {
			for _, l := range s.Label {
				if f.GetName() == name && l.GetValue() == value {
					sum += s.Counter.GetValue()
				}
			}
		}
	}
	return sum
}

func TestMeshAuthorizationSuite(t *testing.T) {
	a := config.MeshAuthorization{Default: config.Deny, Policies: []config.Policy{meshPolicy("a", "allow", func(p *config.Policy) { from(orders)(p); below("/a/*")(p) })}}
	p := stage.NewPolicies(a, metrics().NewAuthorizations(), nil)
	st := stage.NewMeshAuthorization(func() *stage.Policies { return p }, 80)
	stagetest.Run(t, stagetest.Suite{New: always(st), Free: true,
		Pass: []request{{PeerID: orders, Target: "/a/b"}}, Stop: []request{{PeerID: admin, Target: "/a"}, {PeerID: orders, Target: "/b"}, {}}})
	early := stage.NewMeshAuthorization(func() *stage.Policies { return nil }, 80)
	require.Equal(t, exchange.PoliciesUnknown, through(request{}, early).Fault)
	require.Equal(t, exchange.Denied, through(request{PeerID: admin}, st).Fault)

	c := st.Connections()
	require.Equal(t, exchange.Denied, c.Admit(&exchange.Conn{Peer: exchange.Peer{ID: orders}, Port: 80}), "paths are not known")
	require.Equal(t, exchange.PoliciesUnknown, early.Connections().Admit(&exchange.Conn{}))
}

func TestDestinationSuite(t *testing.T) {
	known := &exchange.Route{Name: "stock", Timeout: time.Second}
	st := stage.NewDestination(func(to netip.AddrPort) (*exchange.Route, *exchange.Fault) {
		if to.Port() == 0 {
			return known, nil
		}
		return nil, exchange.NoRoute
	})
	stagetest.Run(t, stagetest.Suite{New: always(st), Free: true, Pass: []request{{}}})
	x := through(request{Fields: []string{"Host: another"}}, st)
	require.Equal(t, known, x.Route, "the address decides, not the Host field")
	require.Equal(t, x.Start.Add(time.Second), x.Deadline)
}
