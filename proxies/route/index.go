// Package route finds the route of a request, with the precedence of the Kubernetes Gateway API
// (https://gateway-api.sigs.k8s.io/reference/spec/#httproute): longest host without a wildcard, then longest host; exact path,
// then longest prefix, then a method, then most fields, then most query parameters, then the first rule of the file.
//
// Its one invariant: an Index never changes, and what it finds is what a walk over all rules would find, at a cost that does not
// grow with their number. It does not serve requests, and does not decide whether a path is safe to be matched; wire does.
package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
)

// Rule is a route and what it matches: any of Hosts (none: every host) and any of Match (none: every path).
type Rule struct {
	Hosts []string
	Match []config.Match
	Route *exchange.Route
}

// Index finds routes. It is safe for any number of goroutines.
type Index struct {
	exact     map[string]*paths // host
	wild      map[string]*paths // what stands behind "*."
	any       *paths
	mostParts int // labels of a host in wild
	all       []entry
}

// paths holds the rules of one host.
type paths struct {
	exact map[string][]entry
	root  *element
}

// element is one element of the paths that prefixes are made of.
type element struct {
	parent   *element
	children map[string]*element
	entries  []entry // of the prefix that ends here
}

// entry is one match of one rule: what has to hold besides host and path.
type entry struct {
	method  string
	headers []pair
	query   []pair
	order   int // of the match in the file
	rule    *Rule
	match   config.Match
	host    string // as written; "" is any
}

type pair struct{ name, value string }

// Build makes the index of rules; their order is the order of the file.
func Build(rules []Rule) (*Index, error) {
	x := &Index{exact: map[string]*paths{}, wild: map[string]*paths{}, any: newPaths()}
	order := 0
	for i := range rules {
		rule := &rules[i]
		if rule.Route == nil {
			return nil, fmt.Errorf("rule %d has no route", i)
		}
		matches := rule.Match
		if len(matches) == 0 {
			matches = []config.Match{{}}
		}
		for _, m := range matches {
			for _, h := range hostsOf(rule) {
				x.add(h, newEntry(rule, m, h, order))
			}
			order++
		}
	}
	x.sort()
	return x, nil
}

func hostsOf(r *Rule) []string {
	if len(r.Hosts) == 0 {
		return []string{""}
	}
	return r.Hosts
}

func newPaths() *paths { return &paths{exact: map[string][]entry{}, root: &element{}} }

func newEntry(r *Rule, m config.Match, host string, order int) entry {
	e := entry{method: m.Method, order: order, rule: r, match: m, host: host}
	for name, value := range m.Headers.All() {
		e.headers = append(e.headers, pair{name, value})
	}
	for name, value := range m.Query.All() {
		e.query = append(e.query, pair{name, value})
	}
	return e
}

func (x *Index) add(host string, e entry) {
	x.all = append(x.all, e)
	host = strings.ToLower(host)
	p := x.any
	if suffix, ok := strings.CutPrefix(host, "*."); ok {
		p = under(x.wild, suffix)
		x.mostParts = max(x.mostParts, strings.Count(suffix, ".")+1)
	} else if host != "" {
		p = under(x.exact, host)
	}
	if exact := e.match.Path.Exact; exact != "" {
		p.exact[exact] = append(p.exact[exact], e)
		return
	}
	at := p.root.make(e.match.Path.Prefix)
	at.entries = append(at.entries, e)
}

func under(m map[string]*paths, host string) *paths {
	if m[host] == nil {
		m[host] = newPaths()
	}
	return m[host]
}

// make returns the element where a prefix ends. A slash at its end says nothing: /abc/ is /abc.
func (el *element) make(prefix string) *element {
	prefix = strings.TrimSuffix(prefix, "/")
	for prefix != "" {
		part := prefix[1:]
		if i := strings.IndexByte(part, '/'); i >= 0 {
			part = part[:i]
		}
		prefix = prefix[1+len(part):]
		next := el.children[part]
		if next == nil {
			next = &element{parent: el}
			if el.children == nil {
				el.children = map[string]*element{}
			}
			el.children[part] = next
		}
		el = next
	}
	return el
}

// sort puts the entries of each path in the order of precedence, so that the first that holds wins.
func (x *Index) sort() {
	x.any.sort()
	for _, group := range []map[string]*paths{x.exact, x.wild} {
		for _, p := range group {
			p.sort()
		}
	}
}

func (p *paths) sort() {
	for _, entries := range p.exact {
		slices.SortFunc(entries, precedence)
	}
	p.root.sort()
}

func (el *element) sort() {
	slices.SortFunc(el.entries, precedence)
	for _, child := range el.children {
		child.sort()
	}
}

// precedence orders matches of the same host and path.
func precedence(a, b entry) int {
	return cmp.Or(
		-compareBool(a.method != "", b.method != ""),
		-cmp.Compare(len(a.headers), len(b.headers)),
		-cmp.Compare(len(a.query), len(b.query)),
		cmp.Compare(a.order, b.order),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
