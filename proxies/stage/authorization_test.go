package stage_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/strict"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/stagetest"
)

// as stands for an authentication stage: it makes everybody one consumer.
type as struct{ who exchange.Consumer }

func (a as) Name() string                              { return "as" }
func (a as) Inward(x *exchange.Exchange) exchange.Step { x.Consumer = a.who; return exchange.Continue }
func (a as) Outward(*exchange.Exchange)                {}
func (a as) Finish(*exchange.Exchange, exchange.End)   {}

func prefix(p string) []config.PathMatch { return []config.PathMatch{{Prefix: p}} }

func authorization(mode config.Mode, rules ...config.AccessRule) *stage.Authorization {
	for i := range rules {
		if rules[i].Action == "" {
			rules[i].Action = "allow"
		}
	}
	return stage.NewAuthorization(&config.Access{Mode: mode, Rules: rules}, metrics())
}

func TestAuthorizationSuite(t *testing.T) {
	rules := []config.AccessRule{{Action: "deny", Paths: prefix("/admin")}, {Methods: []string{"GET", "HEAD"}, Addresses: []string{"192.0.2.0/24"}}}
	stagetest.Run(t, stagetest.Suite{
		New: always(authorization(config.On, rules...)), Shadow: always(authorization(config.Shadow, rules...)),
		Pass: []request{{}, {Target: "/administrator"}, {Method: "HEAD", Target: "/a?b=/admin"}},
		Stop: []request{{Target: "/admin"}, {Method: "POST"}, {Peer: "198.51.100.1:9"}}, Free: true,
	})
}

func TestAuthorizationRules(t *testing.T) {
	roles := strict.Map[[]string]{}
	roles.Set("role", []string{"owner", "editor"})
	ann := exchange.Consumer{Name: "ann", Groups: []string{"staff", "x"}, Scopes: []string{"read", "write"}, Claims: map[string][]string{"role": {"viewer", "editor"}}}
	for name, c := range map[string]struct {
		rule config.AccessRule
		who  exchange.Consumer
		want bool
	}{
		"anybody":             {config.AccessRule{}, exchange.Consumer{}, true},
		"consumer":            {config.AccessRule{Consumers: []string{"bob", "ann"}}, ann, true},
		"other consumer":      {config.AccessRule{Consumers: []string{"bob"}}, ann, false},
		"any consumer":        {config.AccessRule{Consumers: []string{"*"}}, ann, true},
		"any consumer, none":  {config.AccessRule{Consumers: []string{"*"}}, exchange.Consumer{}, false},
		"a consumer called *": {config.AccessRule{Consumers: []string{"ann"}}, exchange.Consumer{Name: "*"}, false},
		"group":               {config.AccessRule{Groups: []string{"staff", "admins"}}, ann, true},
		"other group":         {config.AccessRule{Groups: []string{"admins"}}, ann, false},
		"scopes":              {config.AccessRule{Scopes: []string{"write", "read"}}, ann, true},
		"one scope of two":    {config.AccessRule{Scopes: []string{"write", "delete"}}, ann, false},
		"claim":               {config.AccessRule{Claims: roles}, ann, true},
		"no claim":            {config.AccessRule{Claims: roles}, exchange.Consumer{Name: "ann"}, false},
		"all or nothing":      {config.AccessRule{Groups: []string{"staff"}, Methods: []string{"POST"}}, ann, false},
		"IPv6":                {config.AccessRule{Addresses: []string{"2001:db8::/32"}}, ann, false},
	} {
		x := through(request{}, as{c.who}, authorization(config.On, c.rule))
		require.Equal(t, c.want, x.Fault == nil, name)
		if !c.want {
			require.Equal(t, 403, x.Response.StatusCode(), name)
		}
	}
}

func TestAuthorizationTakesTheFirstRuleThatHolds(t *testing.T) {
	first := authorization(config.On, config.AccessRule{Paths: prefix("/a/b")}, config.AccessRule{Action: "deny", Paths: prefix("/a")}, config.AccessRule{})
	for target, status := range map[string]int{"/a": 403, "/a/": 403, "/a/c": 403, "/a/b": 200, "/a/b/c": 200, "/a/bc": 403, "/b": 200} {
		require.Equal(t, status, through(request{Target: target}, first).Response.StatusCode(), target)
	}
	require.Equal(t, 403, through(request{}, authorization(config.On)).Response.StatusCode(), "no rule, no access")
}

// A path that some server would read as a denied one is denied, and one that some server would read as another is not allowed by the
// name that it has here.
func TestAuthorizationOfPathsThatCanBeReadInTwoWays(t *testing.T) {
	deny := authorization(config.On, config.AccessRule{Action: "deny", Paths: prefix("/admin")}, config.AccessRule{})
	for _, target := range []string{"/%61dmin", "/admin%2fx", "/admin;v=1/x", "/;a/admin", "//admin", "/./admin", "/x/..;/admin", "/x/%2e%2e/admin", `/x\..\admin`, "/adm%69n/"} {
		require.Equal(t, 403, through(request{Target: target}, deny).Response.StatusCode(), target)
	}
	for _, target := range []string{"/%2561dmin", "/administer", "/x;admin", "/%zz", "/public/admin"} {
		require.Equal(t, 200, through(request{Target: target}, deny).Response.StatusCode(), target)
	}
	allow := authorization(config.On, config.AccessRule{Paths: []config.PathMatch{{Prefix: "/public"}, {Exact: "/exact/"}}})
	for target, status := range map[string]int{"/public/a%20b": 200, "/public/%2e%2e/admin": 403, "/public;x": 403, "/public/..;/admin": 403,
		"/%70ublic": 403, "/exact/": 200, "/exact": 403, "/exact%2f": 403, "/public/a;v=1": 200} {
		require.Equal(t, status, through(request{Target: target}, allow).Response.StatusCode(), target)
	}
	all := authorization(config.On, config.AccessRule{Paths: prefix("/")})
	for _, target := range []string{"/", "/a", "/%41"} {
		require.Equal(t, 200, through(request{Target: target}, all).Response.StatusCode(), target)
	}
}

// However a path under /admin is written so that one decoding and the removal of dot segments lead there, it is denied.
func FuzzDeniedPath(f *testing.F) {
	deny := authorization(config.On, config.AccessRule{Action: "deny", Paths: prefix("/admin")}, config.AccessRule{})
	f.Add("x", uint8(0), uint16(1))
	f.Add("", uint8(7), uint16(0xffff))
	f.Fuzz(func(t *testing.T, rest string, detour uint8, encoded uint16) {
		path := []string{"/", "//", "/./", "/x/../", "/x/..;y/", "/%2e/", "/a/b/../%2E%2e/"}[detour%7]
		for i, c := range "admin" {
			if encoded>>i&1 == 1 {
				path += "%" + string("0123456789abcdef"[c>>4]) + string("0123456789ABCDEF"[c&15])
			} else {
				path += string(c)
			}
		}
		rest = visible(rest)
		if strings.ContainsAny(rest, "?.%\\") {
			return // dots lead out again
		}
		if x := through(request{Target: path + "/" + rest}, deny); x.Fault != exchange.Denied {
			t.Fatalf("%q passed", path+"/"+rest)
		}
	})
}

func BenchmarkAuthorization(b *testing.B) {
	st := authorization(config.On, config.AccessRule{Action: "deny", Paths: prefix("/admin")}, config.AccessRule{Groups: []string{"ops"}, Methods: []string{"POST"}},
		config.AccessRule{Consumers: []string{"*"}, Paths: prefix("/api")})
	r := request{Target: "/api/orders/7"}
	x := r.Exchange()
	x.Consumer.Name = "ann"
	b.ReportAllocs()
	for b.Loop() {
		if st.Inward(x) != exchange.Continue {
			b.Fatal("denied")
		}
	}
}
