package gateway

import (
	"fmt"
	"io"
	"strings"

	"github.com/valyala/fasthttp"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/operate"
	"crossroads/proxies/route"
	"crossroads/proxies/wire"
)

// Explain writes which route a request takes and why no other. Nothing is opened or connected to.
func Explain(w io.Writer, c *config.Gateway, method, host, target string, fields []string) error {
	path, query, _ := strings.Cut(target, "?")
	if !strings.HasPrefix(path, "/") {
		return operate.Usage(fmt.Errorf("the path %q does not begin with /", path))
	}
	var header fasthttp.RequestHeader
	for _, f := range fields {
		name, value, ok := strings.Cut(f, ":")
		if !ok {
			return operate.Usage(fmt.Errorf("%q is not a field: write `NAME: VALUE`", f))
		}
		header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	header.SetHost(host)
	var rules []route.Rule
	backends := map[string][]config.Backend{}
	parts := map[string]*config.Compose{}
	for _, r := range c.Routes {
		rules = append(rules, route.Rule{Hosts: r.Hosts, Match: r.Match, Route: &exchange.Route{Name: r.Name, Tolerate: tolerated(r.Tolerate)}})
		backends[r.Name], parts[r.Name] = r.Backends, r.Compose
	}
	index, err := route.Build(rules)
	if err != nil {
		return err
	}
	e := index.Explain(&route.Question{
		Host: []byte(host), Path: []byte(path), Query: []byte(query), Method: []byte(method), Header: &header})
	if f := wire.PathFlaws([]byte(path)); f != 0 && (e.Route == nil || f&^e.Route.Tolerate != 0) {
		_, err := fmt.Fprintf(w, "the path is ambiguous: answered with 400 ambiguous_path, since no route that it matches tolerates that\n")
		return err
	}
	if e.Route == nil {
		_, err := fmt.Fprintf(w, "no route: answered with 404 no_route\n")
		return err
	}
	fmt.Fprintf(w, "route %s\n  because  %s\n", e.Route.Name, e.Match)
	explainParts(w, parts[e.Route.Name])
	for _, b := range backends[e.Route.Name] {
		fmt.Fprintf(w, "  backend  %s, weight %d\n", b.Upstream, b.Weight)
	}
	for _, o := range e.Others {
		fmt.Fprintf(w, "  not      %s (%s): %s\n", o.Route, o.Match, o.Why)
	}
	return nil
}

func explainParts(w io.Writer, c *config.Compose) {
	if c == nil {
		return
	}
	for name, p := range c.Parts.All() {
		need := "required"
		if p.Optional {
			need = "optional"
		}
		fmt.Fprintf(w, "  part     %s, %s: %s of %s, at most %s\n", name, need, p.Path, p.Upstream, p.Timeout)
	}
}
