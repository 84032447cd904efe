package route

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fasthttp"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
)

// rule reads "host path method headers query" in a short notation: "*.x =/exact GET a=1 q=2"; "-" leaves a part out.
func rule(name, notation string) Rule {
	f := append(strings.Fields(notation), "-", "-", "-", "-", "-")
	r := Rule{Route: &exchange.Route{Name: name}}
	if f[0] != "-" {
		r.Hosts = strings.Split(f[0], ",")
	}
	var m config.Match
	if exact, ok := strings.CutPrefix(f[1], "="); ok {
		m.Path.Exact = exact
	} else if f[1] != "-" {
		m.Path.Prefix = f[1]
	}
	if f[2] != "-" {
		m.Method = f[2]
	}
	for i, set := range []func(string, string){m.Headers.Set, m.Query.Set} {
		for p := range strings.SplitSeq(f[3+i], ",") {
			if name, value, ok := strings.Cut(p, "="); ok {
				set(name, value)
			}
		}
	}
	r.Match = []config.Match{m}
	return r
}

// question reads "METHOD host/path?query name=value ...".
func question(notation string) *Question {
	f := strings.Fields(notation)
	slash := strings.IndexByte(f[1], '/')
	path, query, _ := strings.Cut(f[1][slash:], "?")
	q := &Question{
		Method: []byte(f[0]), Host: []byte(f[1][:slash]), Path: []byte(path), Query: []byte(query),
		Header: &fasthttp.RequestHeader{},
	}
	for _, h := range f[2:] {
		name, value, _ := strings.Cut(h, "=")
		q.Header.Set(name, value)
	}
	return q
}

func TestPrecedence(t *testing.T) {
	cases := []struct {
		name  string
		rules []string // the name of each is its position, from 0
		asks  map[string]string
	}{
		{"prefix by element", []string{"- /abc"}, map[string]string{
			"GET h/abc": "0", "GET h/abc/": "0", "GET h/abc/d": "0", "GET h/abcd": "", "GET h/": "", "GET h/ABC": ""}},
		{"a slash at the end of a prefix says nothing", []string{"- /abc/"}, map[string]string{
			"GET h/abc": "0", "GET h/abc/d": "0", "GET h/abcd": ""}},
		{"exact before prefix, longest prefix first", []string{"- /", "- /a", "- /a/b", "- =/a/b"}, map[string]string{
			"GET h/": "0", "GET h/x": "0", "GET h/a": "1", "GET h/a/bc": "1", "GET h/a/b": "3", "GET h/a/b/": "2", "GET h/a/b/c": "2"}},
		{"host before path", []string{"x.com /", "- =/a", "*.com /a"}, map[string]string{
			"GET x.com/a": "0", "GET y.com/a": "2", "GET y.com/b": "", "GET y.org/a": "1"}},
		{"wildcards", []string{"*.x.com /", "*.a.x.com /"}, map[string]string{
			"GET x.com/": "", "GET a.x.com/": "0", "GET b.a.x.com/": "1", "GET c.b.a.x.com/": "1", "GET c.b.x.com/": "0",
			"GET .x.com/": "", "GET ax.com/": "", "GET A.X.COM:8080/": "0"}},
		{"a host whose rules do not hold gives way", []string{"x.com /a", "*.com /b", "- /"}, map[string]string{
			"GET x.com/a": "0", "GET x.com/b": "1", "GET x.com/c": "2"}},
		{"ports are ignored", []string{"x.com /"}, map[string]string{
			"GET x.com:80/": "0", "GET X.com:9/": "0", "GET x.comm/": "", "GET [::1]:80/": ""}},
		{"method, then fields, then query, then order", []string{"- /", "- / GET", "- / - a=1", "- / - a=1,b=2", "- / - - q=1", "- / - a=1 q=1"}, map[string]string{
			"GET h/": "1", "PUT h/": "0", "PUT h/ a=1": "2", "PUT h/ A=1 b=2": "3", "PUT h/?q=1": "4", "PUT h/?q=1 a=1": "5", "GET h/ a=1 b=2": "1", "PUT h/ a=2": "0"}},
		{"an exact path whose method does not hold gives way", []string{"- =/a PUT", "- /a"}, map[string]string{
			"PUT h/a": "0", "GET h/a": "1"}},
		{"first rule of the file", []string{"- /a", "- /a"}, map[string]string{"GET h/a": "0"}},
		{"query is decoded, the first of a name counts", []string{"- / - - q=a/b"}, map[string]string{
			"GET h/?q=a%2Fb": "0", "GET h/?x&q=a/b&q=c": "0", "GET h/?q=c&q=a/b": "", "GET h/?q=a%2": "", "GET h/?q": "", "GET h/?%71=a%2fb": "0"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var rules []Rule
			for i, r := range c.rules {
				rules = append(rules, rule(fmt.Sprint(i), r))
			}
			x, err := Build(rules)
			require.NoError(t, err)
			for ask, want := range c.asks {
				require.Equal(t, want, nameOf(x.Find(question(ask))), ask)
				require.Equal(t, want, nameOf(linear(rules, question(ask))), "the reference: %s", ask)
				require.Equal(t, want, nameOf(x.Explain(question(ask)).Route), "explained: %s", ask)
			}
		})
	}
}

func TestEmptyFieldIsNotAnAbsentOne(t *testing.T) {
	x, err := Build([]Rule{rule("r", "- / - a=")})
	require.NoError(t, err)
	require.Nil(t, x.Find(question("GET h/")))
	require.NotNil(t, x.Find(question("GET h/ a=")))
	require.Nil(t, x.Find(&Question{Path: []byte("/")}), "no fields at all")
}

func TestBuildRefusesARuleWithoutRoute(t *testing.T) {
	_, err := Build([]Rule{{}})
	require.ErrorContains(t, err, "no route")
}

func TestExplainNamesWhyOthersLose(t *testing.T) {
	x, err := Build([]Rule{rule("all", "- /"), rule("get", "x.com /a GET"), rule("a", "*.com /a"), rule("exact", "x.com =/a/b")})
	require.NoError(t, err)
	e := x.Explain(question("GET x.com/a/b"))
	require.Equal(t, "exact", e.Route.Name)
	require.Equal(t, "host x.com, path exactly /a/b", e.Match)
	require.Equal(t, []Other{
		{"all", "any host, path prefix /", "a host is more specific than any host"},
		{"get", "host x.com, path prefix /a/, method GET", "an exact path comes before a prefix"},
		{"a", "host *.com, path prefix /a/", "a host without a wildcard is more specific"},
	}, e.Others)
}

func nameOf(r *exchange.Route) string {
	if r == nil {
		return ""
	}
	return r.Name
}

// linear is the naive reference: it walks all rules, keeps what matches, and compares by the letter of the specification.
func linear(rules []Rule, q *Question) *exchange.Route {
	type score struct{ plainHost, hostLen, exact, prefixLen, method, headers, query, order int }
	better := func(a, b score) bool {
		for _, d := range []int{a.plainHost - b.plainHost, a.hostLen - b.hostLen, a.exact - b.exact, a.prefixLen - b.prefixLen,
			a.method - b.method, a.headers - b.headers, a.query - b.query, b.order - a.order} {
			if d != 0 {
				return d > 0
			}
		}
		return false
	}
	var best *exchange.Route
	var bestScore score
	order := 0
	for _, r := range rules {
		for _, m := range r.Match {
			order++
			for _, h := range orAnyHost(r.Hosts) {
				if !referenceHost(h, string(q.Host)) || !referencePath(m, string(q.Path)) || !referenceRest(m, q) {
					continue
				}
				s := score{headers: m.Headers.Len(), query: m.Query.Len(), order: order, hostLen: len(h)}
				if h != "" && h[0] != '*' {
					s.plainHost = len(h)
				}
				if m.Path.Exact != "" {
					s.exact = 1
				} else {
					s.prefixLen = len(strings.TrimRight(m.Path.Prefix, "/"))
				}
				if m.Method != "" {
					s.method = 1
				}
				if best == nil || better(s, bestScore) {
					best, bestScore = r.Route, s
				}
			}
		}
	}
	return best
}

func orAnyHost(h []string) []string {
	if len(h) == 0 {
		return []string{""}
	}
	return h
}

func referenceHost(pattern, host string) bool {
	host = strings.ToLower(host)
	if !strings.HasSuffix(host, "]") {
		if i := strings.LastIndex(host, ":"); i >= 0 {
			host = host[:i]
		}
	}
	if pattern == "" {
		return true
	}
	labels, want := strings.Split(host, "."), strings.Split(strings.ToLower(pattern), ".")
	if want[0] != "*" {
		return strings.Join(labels, ".") == strings.Join(want, ".")
	}
	n := len(labels) - (len(want) - 1)
	return n >= 1 && labels[0] != "" && strings.Join(labels[n:], ".") == strings.Join(want[1:], ".")
}

func referencePath(m config.Match, path string) bool {
	if m.Path.Exact != "" {
		return path == m.Path.Exact
	}
	want := strings.Split(strings.TrimSuffix(m.Path.Prefix, "/"), "/")
	if len(want) == 1 {
		return true // the prefix /, also for OPTIONS *
	}
	got := strings.Split(path, "/")
	return len(got) >= len(want) && strings.Join(got[:len(want)], "/") == strings.Join(want, "/")
}

func referenceRest(m config.Match, q *Question) bool {
	if m.Method != "" && m.Method != string(q.Method) {
		return false
	}
	for k, v := range m.Headers.All() {
		if got := q.Header.Peek(k); got == nil || string(got) != v {
			return false
		}
	}
	for k, v := range m.Query.All() {
		args := fasthttp.AcquireArgs()
		args.ParseBytes(q.Query)
		got := args.Peek(k)
		same := got != nil && string(got) == v
		fasthttp.ReleaseArgs(args)
		if !same {
			return false
		}
	}
	return true
}

// draw makes rules and questions out of few words, so that they meet often.
func draw(r *rand.Rand) ([]Rule, *Question) {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	path := func() string {
		p := ""
		for range r.IntN(4) {
			p += "/" + pick("a", "b", "ab")
		}
		return p + pick("", "/")
	}
	var rules []Rule
	for i := range 1 + r.IntN(12) {
		rules = append(rules, rule(fmt.Sprint(i), strings.Join([]string{
			pick("-", "x.com", "*.com", "*.x.com", "y.x.com", "*.y.x.com,x.com"),
			pick("-", "/"+strings.TrimPrefix(path(), "/"), "=/"+strings.TrimPrefix(path(), "/")),
			pick("-", "-", "GET", "PUT"), pick("-", "-", "h=1", "h=1,g=2"), pick("-", "-", "q=1", "q=1,p=2"),
		}, " ")))
	}
	q := question(pick("GET", "PUT", "POST") + " " + pick("x.com", "y.x.com", "z.y.x.com", "X.COM:80", ".x.com", "org", "q.com") +
		"/" + strings.TrimPrefix(path(), "/") + pick("", "?q=1", "?p=2&q=1", "?q=2&q=1") + pick("", " h=1", " h=1 g=2", " g=2"))
	return rules, q
}

func TestFindEqualsTheReference(t *testing.T) {
	for seed := range uint64(20_000) {
		rules, q := draw(rand.New(rand.NewPCG(seed, 1)))
		x, err := Build(rules)
		require.NoError(t, err)
		if got, want := nameOf(x.Find(q)), nameOf(linear(rules, q)); got != want {
			t.Fatalf("seed %d: found %q, the reference finds %q for %s %s%s?%s", seed, got, want, q.Method, q.Host, q.Path, q.Query)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add(uint64(1), "x.com", "/a/b", "q=1")
	f.Add(uint64(2), "..x.com:80", "//a", "%")
	f.Add(uint64(3), "[::1]:80", "*", "&&=")
	f.Fuzz(func(t *testing.T, seed uint64, host, path, query string) {
		if strings.ContainsAny(query, "%+;") || strings.HasPrefix(host, "[") {
			query, host = "", "x.com" // fasthttp's own argument parser, which the reference uses, is lenient here
		}
		rules, q := draw(rand.New(rand.NewPCG(seed, 2)))
		q.Host, q.Path, q.Query = []byte(host), []byte(path), []byte(query)
		x, err := Build(rules)
		require.NoError(t, err)
		if got, want := nameOf(x.Find(q)), nameOf(linear(rules, q)); len(host) <= 256 && got != want {
			t.Fatalf("found %q, the reference finds %q", got, want)
		}
	})
}

func many(n int) []Rule {
	rules := make([]Rule, n)
	for i := range rules {
		rules[i] = rule(fmt.Sprint(i), fmt.Sprintf("h%d.example.com /api/v%d/items", i%100, i))
	}
	return rules
}

func TestFindDoesNotAllocate(t *testing.T) {
	x, err := Build(append(many(1000), rule("w", "*.example.com /w GET h=1 q=1")))
	require.NoError(t, err)
	for _, ask := range []string{"GET h7.example.com:80/api/v7/items/3", "GET a.b.example.com/w?q=1 h=1", "GET none/none"} {
		q := question(ask)
		require.Zero(t, testing.AllocsPerRun(100, func() { x.Find(q) }), ask)
	}
}

func BenchmarkFind(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			x, err := Build(many(n))
			require.NoError(b, err)
			q := question(fmt.Sprintf("GET h%d.example.com:8080/api/v%d/items/17", (n-1)%100, n-1))
			require.NotNil(b, x.Find(q))
			b.ReportAllocs()
			for b.Loop() {
				x.Find(q)
			}
		})
	}
}
