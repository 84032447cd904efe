package parity

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/topologies"
)

// guard is the fake gateway's stages, what it says about them, and what it counts. It does what is declared, unless told to lie.
type guard struct {
	does     map[string]string // mode by stage
	says     map[string]string // what it exports instead
	limit    int64             // longest body; 0: none
	gullible bool              // believes a forged token
	open     bool              // allows every page
	silent   bool              // exports no stages
	unlisted bool              // the deployment does not list it
	log      string            // file
	line     string            // of the log: a format of path, method, consumer
	config   string            // what /config shows
	admin    *httptest.Server

	mu     sync.Mutex
	counts map[string]int
}

func newGuard(t *testing.T, g *topologies.Gateway) *guard {
	t.Helper()
	s := &guard{does: map[string]string{}, says: map[string]string{}, line: `{"path":%q,"request":{"method":%q},"status":200,"consumer":%q}`, counts: map[string]int{}}
	for _, stage := range g.Stages.All() {
		s.does[stage.Name] = stage.Mode
	}
	for _, stage := range g.Stages.All() {
		s.says[stage.Name] = stage.Mode
	}
	if s.does["access_log"] == "on" {
		s.log = filepath.Join(t.TempDir(), "access.log")
		require.NoError(t, os.WriteFile(s.log, nil, 0o600))
	}
	if b := g.Stages.BodyLimit; b != nil {
		s.limit = int64(b.Max)
	}
	attempts, health, bounds, breaker := 0, "null", 0, "off"
	if g.Upstream.Retries == "on" {
		attempts, health, bounds, breaker = 3, `{"path":"/healthz"}`, 9, "on"
	}
	s.config = fmt.Sprintf(`{"upstreams":{"shop":{"balance":%q,"breaker":{"mode":%q},"health":%s,"limits":{"requests":%d}}},"routes":[{"backends":[{"upstream":"shop"}],"retry":{"attempts":%d}}]}`,
		g.Upstream.Balance, breaker, health, bounds, attempts)
	s.admin = httptest.NewServer(http.HandlerFunc(s.administer))
	t.Cleanup(s.admin.Close)
	return s
}

func (g *guard) administer(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if r.URL.Path == "/config" {
		_, _ = io.WriteString(w, g.config)
		return
	}
	words := []string{"routing"}
	for _, name := range []string{"access_log", "cors", "key_auth", "jwt", "introspection", "authorization", "rate_limit", "body_limit"} {
		switch g.says[name] {
		case "on":
			words = append(words, name)
		case "shadow":
			words = append(words, name+"=shadow")
		}
	}
	if !g.silent {
		fmt.Fprintf(w, "# HELP gateway_stages_info x\ngateway_stages_info{hash=\"0123456789abcdef\",stages=%q} 1\n", strings.Join(words, ","))
	}
	for series, n := range g.counts {
		fmt.Fprintf(w, "%s %d\n", series, n)
	}
}

// looks says whether a stage acts on something; in shadow it is counted.
func (g *guard) looks(stage string) bool {
	if g.does[stage] == "shadow" {
		g.mu.Lock()
		g.counts[shadows[stage]]++
		g.mu.Unlock()
	}
	return g.does[stage] == "on"
}

// answers a request that a stage stops.
func (g *guard) answers(w http.ResponseWriter, r *http.Request) bool {
	if g == nil {
		return false
	}
	if g.does["access_log"] == "on" && g.log != "" {
		g.mu.Lock()
		f, err := os.OpenFile(g.log, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			fmt.Fprintf(f, g.line+"\n", r.URL.Path, r.Method, r.Header.Get("X-Api-Key"))
			f.Close()
		}
		g.mu.Unlock()
	}
	token, status := r.Header.Get("Authorization"), 0
	genuine := token == "Bearer "+topologies.DemoToken() || token == "Bearer "+topologies.SignedToken("probe") ||
		g.gullible && token == "Bearer "+topologies.ForgedToken("demo")
	opaque := r.Header.Get("X-Access-Token")
	if g.does["rate_limit"] == "shadow" {
		g.looks("rate_limit")
	}
	if g.does["key_auth"] == "shadow" && r.Header.Get("X-Api-Key") == "" {
		g.looks("key_auth")
	}
	switch {
	case r.Method == http.MethodOptions && g.looks("cors"):
		if origin := r.Header.Get("Origin"); origin == topologies.DemoOrigin || g.open {
			w.Header().Set("Access-Control-Allow-Origin", origin)
		}
		status = http.StatusNoContent
	case !genuine && g.looks("jwt"), opaque != topologies.DemoOpaque && opaque != "probing-token" && g.looks("introspection"):
		status = http.StatusUnauthorized
	case r.URL.Path == topologies.DeniedPath && g.looks("authorization"):
		status = http.StatusForbidden
	case g.limit > 0 && r.ContentLength > g.limit:
		status = http.StatusRequestEntityTooLarge
	default:
		return false
	}
	w.WriteHeader(status)
	return true
}
