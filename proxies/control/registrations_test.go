package control

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/discovery"
	"crossroads/proxies/identity"
)

var (
	here = netip.MustParseAddr("10.1.2.3")
	noon = time.Unix(1_000_000, 0)
)

func newTable() *registrations {
	return newRegistrations(&config.Registration{IDs: []string{"spiffe://" + testDomain + "/ns/shop/*", identity.ServiceID(testDomain, "other", "web")}, Lease: units.Duration(10 * time.Second)})
}

func endpoint(service, address string) discovery.Registration {
	return discovery.Registration{Service: service, Address: address, Weight: 1}
}

func TestRegistrationsAreOfOnesOwnService(t *testing.T) {
	web, other := service("web"), identity.ServiceID(testDomain, "other", "web")
	for name, c := range map[string]struct {
		r            discovery.Registration
		id, promised string
		reason, want string
	}{
		"whole address":              {endpoint("web", "10.9.9.9:80"), web, "", "", "10.9.9.9:80"},
		"where it comes from":        {endpoint("web", ":80"), web, "", "", "10.1.2.3:80"},
		"every address is this one":  {endpoint("web", "0.0.0.0:80"), web, web, "", "10.1.2.3:80"},
		"every address of IPv6":      {endpoint("web", "[::]:80"), web, web, "", "10.1.2.3:80"},
		"an IPv6 address":            {endpoint("web", "[2001:db8::1]:80"), web, "", "", "[2001:db8::1]:80"},
		"another's service":          {endpoint("db", ":80"), web, "", "not_your_service", ""},
		"the end of a name":          {endpoint("eb", ":80"), web, "", "not_your_service", ""},
		"no service":                 {endpoint("", ":80"), web, "", "not_your_service", ""},
		"the namespace as well":      {endpoint("shop/sa/web", ":80"), web, "", "not_your_service", ""},
		"promised to somebody else":  {endpoint("web", ":80"), other, web, "service_taken", ""},
		"an identity not listed":     {endpoint("db", ":80"), identity.ServiceID(testDomain, "other", "db"), "", "not_allowed", ""},
		"no port":                    {endpoint("web", "10.9.9.9"), web, "", "malformed", ""},
		"port 0":                     {endpoint("web", ":0"), web, "", "malformed", ""},
		"a name":                     {endpoint("web", "metadata.internal:80"), web, "", "malformed", ""},
		"a socket":                   {endpoint("web", "unix:/run/web"), web, "", "malformed", ""},
		"no weight":                  {discovery.Registration{Service: "web", Address: ":80"}, web, "", "malformed", ""},
		"the control plane's own ID": {endpoint("control", ":80"), identity.ControlID(testDomain), "", "not_allowed", ""},
	} {
		address, refused := newTable().put(c.r, c.id, c.promised, here, noon)
		if c.reason != "" {
			require.NotNil(t, refused, name)
			require.Equal(t, c.reason, refused.reason, name)
			continue
		}
		require.Nil(t, refused, name)
		require.Equal(t, c.want, address, name)
	}
}

func TestAServiceIsItsFirstOnes(t *testing.T) {
	table, web, other := newTable(), service("web"), identity.ServiceID(testDomain, "other", "web")
	_, refused := table.put(endpoint("web", ":80"), web, "", here, noon)
	require.Nil(t, refused)
	for _, at := range []string{":80", ":81"} {
		_, refused = table.put(endpoint("web", at), other, "", here, noon)
		require.Equal(t, "service_taken", refused.reason)
	}
	require.Nil(t, table.drop(endpoint("web", ":80"), other, "", here), "nothing of its own is there")
	require.Equal(t, 1, table.count(), "and nobody else's goes")
	require.Equal(t, 1, table.expire(noon.Add(10*time.Second)))
	_, refused = table.put(endpoint("web", ":81"), other, "", here, noon.Add(10*time.Second))
	require.Nil(t, refused, "nobody has it any more")
}

// In every history an endpoint is published exactly as long as its last heartbeat was less than a lease ago and it was not dropped.
func TestLeasesProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	for range 50 {
		table, until, now := newTable(), map[string]time.Time{}, noon
		var published map[string]discovery.Service
		for range 300 {
			now = now.Add(time.Duration(r.IntN(4000)) * time.Millisecond)
			at := fmt.Sprintf("10.0.0.%d:80", r.IntN(5))
			ended := table.expire(now)
			for a, u := range until {
				if !now.Before(u) {
					delete(until, a)
					ended--
				}
			}
			require.Zero(t, ended)
			switch r.IntN(4) {
			case 0:
				require.Nil(t, table.drop(endpoint("web", at), service("web"), "", here))
				delete(until, at)
			default:
				_, refused := table.put(endpoint("web", at), service("web"), "", here, now)
				require.Nil(t, refused)
				until[at] = now.Add(10 * time.Second)
			}
			if services, changed := table.take(); changed {
				published = services
			}
			require.Len(t, published["web"].Endpoints, len(until))
			for _, e := range published["web"].Endpoints {
				require.Contains(t, until, e.Address)
				require.Equal(t, service("web"), e.Identity)
			}
		}
	}
}

func TestRegistrationsAreBounded(t *testing.T) {
	table := newTable()
	for i := range maxEndpoints {
		_, refused := table.put(endpoint("web", fmt.Sprintf("10.0.%d.%d:80", i/250, i%250)), service("web"), "", here, noon)
		require.Nil(t, refused)
	}
	_, refused := table.put(endpoint("web", "10.200.0.0:80"), service("web"), "", here, noon)
	require.Equal(t, "too_many", refused.reason)
	_, refused = table.put(endpoint("web", "10.0.0.0:80"), service("web"), "", here, noon)
	require.Nil(t, refused, "those that are in go on")
}

func TestMergedServices(t *testing.T) {
	c := newCatalog(time.Now)
	require.NoError(t, c.setBundle("pem"))
	listed := discovery.Service{Protocol: "http", Identity: service("db"), Endpoints: []config.Endpoint{{Address: "10.0.0.1:80", Weight: 1, Identity: service("db")}}}
	require.NoError(t, c.setServices(map[string]discovery.Service{"db": listed}, nil, nil))
	of := func(name, address, id string) discovery.Service {
		return discovery.Service{Protocol: "http", Endpoints: []config.Endpoint{{Address: address, Weight: 1, Identity: id}}}
	}
	addresses := func() map[string][]string {
		newest, _ := c.current()
		found := map[string][]string{}
		for name, s := range newest.snapshot.Services {
			for _, e := range s.Endpoints {
				found[name] = append(found[name], e.Address)
			}
		}
		return found
	}
	require.NoError(t, c.setRegistered(map[string]discovery.Service{"db": of("db", "10.0.0.2:80", service("db")), "web": of("web", "10.0.0.3:80", service("web"))}))
	require.Equal(t, map[string][]string{"db": {"10.0.0.1:80", "10.0.0.2:80"}, "web": {"10.0.0.3:80"}}, addresses())
	require.NoError(t, c.setRegistered(map[string]discovery.Service{"db": of("db", "10.0.0.2:80", "spiffe://"+testDomain+"/ns/other/sa/db")}))
	require.Equal(t, map[string][]string{"db": {"10.0.0.1:80"}}, addresses(), "the file promises another identity")
	require.NoError(t, c.setRegistered(map[string]discovery.Service{"db": of("db", "10.0.0.1:80", service("db"))}))
	require.Equal(t, map[string][]string{"db": {"10.0.0.1:80"}}, addresses(), "once")
	require.Equal(t, service("db"), c.promised("db"))
	require.Empty(t, c.promised("web"))
}
