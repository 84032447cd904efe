package route

import (
	"fmt"
	"strings"

	"crossroads/proxies/exchange"
)

// Explanation says which route a request takes, and why no other.
type Explanation struct {
	Route  *exchange.Route // nil: none
	Match  string          // what the winning match says, in words
	Others []Other         // matches of other routes that hold as well, and why they lose
}

// Other is a match that holds but loses.
type Other struct {
	Route string
	Match string
	Why   string
}

// Explain asks every rule, so it is for people and not for requests; the winner is what Find finds.
func (x *Index) Explain(q *Question) Explanation {
	winner := x.find(q)
	if winner == nil {
		return Explanation{}
	}
	e := Explanation{Route: winner.rule.Route, Match: winner.String()}
	for i := range x.all {
		loser := &x.all[i]
		if loser.order == winner.order && loser.host == winner.host || !loser.hostHolds(q) || !loser.pathHolds(q) || !loser.holds(q) {
			continue
		}
		e.Others = append(e.Others, Other{Route: loser.rule.Route.Name, Match: loser.String(), Why: why(winner, loser)})
	}
	return e
}

// String says what an entry matches: host *.example.com, path prefix /a, method GET.
func (e *entry) String() string {
	parts := []string{"any host"}
	if e.host != "" {
		parts[0] = "host " + e.host
	}
	if e.match.Path.Exact != "" {
		parts = append(parts, "path exactly "+e.match.Path.Exact)
	} else {
		parts = append(parts, "path prefix "+e.prefix()+"/")
	}
	if e.method != "" {
		parts = append(parts, "method "+e.method)
	}
	for _, h := range e.headers {
		parts = append(parts, fmt.Sprintf("field %s is %q", h.name, h.value))
	}
	for _, p := range e.query {
		parts = append(parts, fmt.Sprintf("query %s is %q", p.name, p.value))
	}
	return strings.Join(parts, ", ")
}

func (e *entry) prefix() string { return strings.TrimSuffix(e.match.Path.Prefix, "/") }

func (e *entry) hostHolds(q *Question) bool {
	host, pattern := strings.ToLower(string(bareHost(q.Host))), strings.ToLower(e.host)
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(host, suffix) && len(host) > len(suffix) && host[0] != '.'
	}
	return pattern == "" || pattern == host
}

func (e *entry) pathHolds(q *Question) bool {
	if e.match.Path.Exact != "" {
		return string(q.Path) == e.match.Path.Exact
	}
	rest, ok := strings.CutPrefix(string(q.Path), e.prefix())
	return ok && (rest == "" || rest[0] == '/' || e.prefix() == "")
}

// why names the first rule of precedence by which the winner is ahead.
func why(winner, loser *entry) string {
	wild := func(e *entry) bool { return strings.HasPrefix(e.host, "*") }
	switch {
	case winner.host != "" && loser.host == "":
		return "a host is more specific than any host"
	case !wild(winner) && wild(loser):
		return "a host without a wildcard is more specific"
	case len(winner.host) > len(loser.host):
		return "its host is shorter"
	case winner.match.Path.Exact != "" && loser.match.Path.Exact == "":
		return "an exact path comes before a prefix"
	case len(winner.prefix()) > len(loser.prefix()):
		return "its path prefix is shorter"
	case winner.method != "" && loser.method == "":
		return "it names no method"
	case len(winner.headers) > len(loser.headers):
		return "it asks for fewer fields"
	case len(winner.query) > len(loser.query):
		return "it asks for fewer query parameters"
	}
	return "it stands later in the file"
}
