package parity

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
	"crossroads/harness/workload"
	"crossroads/topologies"
)

const composing = `
version: 1
name: page
application:
  services:
    orders: {response: {size: 10B}}
    stock: {response: {size: 20B}}
topologies:
  client: {gateway: {}}
  composed: {gateway: {compose: {/page: {parts: {order: {service: orders}, stock: {service: stock, path: /7}}}}}}
load: {rates: [100], requests: [{path: /page, calls: [{service: stock, path: /7}, {service: orders}]}]}
`

// page is a deployment with two services and a gateway that answers /page as composed says.
type page struct {
	deploy.Deployment // nothing else of it is asked
	services          map[string]*countingService
	gateway           *httptest.Server
	composed          func(order, stock string) string
	status            int
	again             string // a service that the gateway asks twice

	noVia     bool   // the gateway hides itself
	stockPath string // that it asks for
}

// countingService answers with text of the declared size, made of its name and the sequence number, and counts.
type countingService struct {
	*httptest.Server
	count atomic.Int64
}

func startPage(t *testing.T, arm string, lie func(*page)) (*page, *topologies.Arm) {
	t.Helper()
	e, err := topologies.Parse("page.yaml", []byte(composing))
	require.NoError(t, err)
	a, known := e.Arm(arm)
	require.True(t, known)
	p := &page{services: map[string]*countingService{}, status: http.StatusOK, stockPath: "/7"}
	p.composed = func(order, stock string) string { return fmt.Sprintf(`{"order":%q,"stock":%q}`, order, stock) }
	if lie != nil {
		lie(p)
	}
	for name, s := range e.Application.Services.All() {
		served := &countingService{}
		served.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/metrics" {
				fmt.Fprintf(w, "# TYPE workload_requests_total counter\nworkload_requests_total{service=%q,code=\"2xx\"} %d\n", name, served.count.Load())
				return
			}
			served.count.Add(1)
			if r.Header.Get(workload.HeaderProbe) != "" {
				seen := workload.Probe{Service: name, Method: r.Method, Path: r.URL.Path, Seq: r.Header.Get("X-Crossroads-Seq"), Hops: len(r.Header["Via"])}
				_ = json.NewEncoder(w).Encode(seen)
				return
			}
			_, _ = io.WriteString(w, strings.Repeat(name+r.URL.Path+r.Header.Get("X-Crossroads-Seq"), 20)[:s.Response.Size])
		}))
		t.Cleanup(served.Close)
		p.services[name] = served
	}
	p.gateway = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.gateway.Close)
	return p, a
}

func (p *page) serve(w http.ResponseWriter, r *http.Request) {
	fetch := func(service, path string) string {
		q, _ := http.NewRequest(http.MethodGet, p.services[service].URL+path, nil)
		q.Header = r.Header.Clone()
		if !p.noVia {
			q.Header.Add("Via", "1.1 gateway")
		}
		response, err := http.DefaultClient.Do(q)
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		return string(body)
	}
	if p.again != "" {
		fetch(p.again, "/")
	}
	if _, direct := p.services[r.Host]; direct {
		_, _ = io.WriteString(w, fetch(r.Host, r.URL.Path))
		return
	}
	w.WriteHeader(p.status)
	if r.Header.Get(workload.HeaderProbe) != "" {
		fmt.Fprintf(w, `{"order":%s,"stock":%s}`, fetch("orders", "/"), fetch("stock", p.stockPath))
		return
	}
	_, _ = io.WriteString(w, p.composed(fetch("orders", "/"), fetch("stock", "/7")))
}

func (p *page) Entries() []deploy.Entry {
	return []deploy.Entry{{Name: "gateway-1", URL: p.gateway.URL}}
}

func (p *page) Processes() []deploy.Process {
	var all []deploy.Process
	for name, s := range p.services {
		all = append(all, deploy.Process{ID: name + "-1", Kind: deploy.KindWorkload, Service: name, Admin: s.URL})
	}
	return all
}

// The probes of what is composed: the others are tried on other systems.
func TestCompositionIsTheClientsOwnWork(t *testing.T) {
	for name, c := range map[string]struct {
		arm    string
		lie    func(*page)
		probes []string
		text   string
	}{
		"composed": {arm: "composed"},
		"client":   {arm: "client"},
		"parts in another order": {"composed", func(p *page) {
			p.composed = func(order, stock string) string { return fmt.Sprintf(`{"stock":%q,"order":%q}`, stock, order) }
		}, []string{"composition"}, `part 1 is "stock" where "order" is declared`},
		"a part cut short": {"composed", func(p *page) {
			p.composed = func(order, stock string) string { return fmt.Sprintf(`{"order":%q,"stock":%q}`, order[:9], stock) }
		}, []string{"composition"}, "the part order has 9 bytes that are not the 10"},
		"a part from memory": {"composed", func(p *page) {
			p.composed = func(order, stock string) string {
				return fmt.Sprintf(`{"order":%q,"stock":%q}`, strings.ReplaceAll(order, "1", "0"), stock)
			}
		}, []string{"composition"}, "the part order has 10 bytes that are not"},
		"a part left out": {"composed", func(p *page) {
			p.composed = func(order, _ string) string { return fmt.Sprintf(`{"order":%q}`, order) }
		}, []string{"composition"}, "1 parts where 2 are composed"},
		"a failed part": {"composed", func(p *page) {
			p.composed = func(order, _ string) string { return fmt.Sprintf(`{"order":%q,"stock":null}`, order) }
		}, []string{"composition"}, "the part stock has 0 bytes"},
		"no object": {"composed", func(p *page) { p.composed = func(order, _ string) string { return order } },
			[]string{"composition"}, "not an object of parts"},
		"an error":                {"composed", func(p *page) { p.status = 404 }, []string{"composition"}, "answered 404"},
		"a part from elsewhere":   {"composed", func(p *page) { p.stockPath = "/8" }, []string{"composition"}, "the part stock of /page at gateway-1 is not GET /7 of stock"},
		"a part past the gateway": {"composed", func(p *page) { p.noVia = true }, []string{"composition"}, "the call of the part order to orders crossed no proxy where 1 are due"},
		"a call too many":         {"composed", func(p *page) { p.again = "stock" }, []string{"origin_calls"}, "made stock answer 2 times, the same calls past all proxies 1 times"},
		"a call repeated":         {"client", func(p *page) { p.again = "orders" }, []string{"origin_calls"}, "made orders answer 3 times"},
	} {
		t.Run(name, func(t *testing.T) {
			p, a := startPage(t, c.arm, c.lie)
			k := &checker{arm: a, deployment: p, requests: a.Experiment.Load.Requests, client: client}
			for probe, find := range map[string]func(context.Context) []string{"answers": k.answers, "composition": k.composition, "origin_calls": k.originCalls} {
				found := find(t.Context())
				if len(c.probes) == 0 || probe != c.probes[0] {
					require.Empty(t, found, probe)
					continue
				}
				require.Contains(t, strings.Join(found, "\n"), c.text)
			}
		})
	}
}
