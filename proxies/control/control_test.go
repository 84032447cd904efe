package control

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/discovery"
	"crossroads/proxies/identity"
)

const testDomain = "mesh.test"

func service(name string) string { return identity.ServiceID(testDomain, "shop", name) }

// running is a control plane in this process.
type running struct {
	*Control
	t     testing.TB
	dir   string
	stop  context.CancelFunc
	ended chan error
}

func fileText(address string) string {
	return "version: 1\nservices:\n  db:\n    identity: " + service("db") + "\n    endpoints: [{address: \"" + address + "\"}]\n"
}

// prepare writes the files of a control plane and returns its configuration.
func prepare(t testing.TB) (*config.Control, string) {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("endpoints.yaml"), []byte(fileText("10.0.0.1:80")), 0o644))
	require.NoError(t, os.WriteFile(at("web.token"), []byte("a secret that only web knows\n"), 0o600))
	return &config.Control{
		Version: 1, TrustDomain: testDomain, Bootstrap: "127.0.0.1:0", Listen: "127.0.0.1:0", Admin: config.Admin{Address: "127.0.0.1:0"},
		CA: config.CA{Certificate: at("ca.pem"), Key: at("ca.key")},
		Tokens: []config.Token{
			{File: at("all.token"), IDs: []string{"spiffe://" + testDomain + "/*"}},
			{File: at("web.token"), IDs: []string{service("web")}},
		},
		Endpoints: at("endpoints.yaml"), Lifetime: units.Duration(time.Hour),
	}, dir
}

func run(t testing.TB, c *config.Control, dir string) *running {
	t.Helper()
	k, err := New(t.Context(), c, Options{Poll: 5 * time.Millisecond, Heartbeat: 50 * time.Millisecond, Version: "test"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Control: k, t: t, dir: dir, stop: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- k.Run(ctx, context.Background()) }()
	t.Cleanup(r.end)
	return r
}

func start(t testing.TB) *running {
	t.Helper()
	c, dir := prepare(t)
	return run(t, c, dir)
}

// end stops the control plane and waits for it; once is enough.
func (r *running) end() {
	r.stop()
	if err, ok := <-r.ended; ok {
		require.NoError(r.t, err)
		close(r.ended)
	}
}

func (r *running) write(name, text string) {
	r.t.Helper()
	require.NoError(r.t, os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644))
}

// address is how a proxy reaches this control plane.
func (r *running) address(token string) *config.ControlAddress {
	a := r.Addresses()
	return &config.ControlAddress{Bootstrap: a.Bootstrap, Address: a.Snapshots, Roots: filepath.Join(r.dir, "ca.pem"), Token: filepath.Join(r.dir, token)}
}

func (r *running) proxy(name string) *identity.Source {
	r.t.Helper()
	s, err := identity.NewSource(r.t.Context(), config.Identity{TrustDomain: testDomain, ID: service(name), Control: r.address("all.token")}, identity.Options{})
	require.NoError(r.t, err)
	r.t.Cleanup(s.Close)
	require.NoError(r.t, s.Wait(r.t.Context()))
	return s
}

// admin gets a page of the admin listener.
func (r *running) get(path string) (int, string) {
	r.t.Helper()
	response, err := http.Get("http://" + r.Addresses().Admin + path)
	require.NoError(r.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return response.StatusCode, string(body)
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, 2*time.Millisecond, what)
}

func TestProxyObtainsSVIDAndSnapshot(t *testing.T) {
	k := start(t)
	web := k.proxy("web")
	applied := make(chan discovery.Snapshot, 16)
	client := discovery.New(*k.address("all.token"), web, func(s discovery.Snapshot) { applied <- s }, discovery.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go client.Run(ctx)
	first := <-applied
	require.Equal(t, map[string]discovery.Service{"db": {Protocol: "http", Endpoints: []config.Endpoint{
		{Address: "10.0.0.1:80", Weight: 1, Identity: service("db")}}}}, first.Services)

	k.write("endpoints.yaml", fileText("10.0.0.2:80"))
	second := <-applied
	require.Greater(t, second.Version, first.Version)
	require.Equal(t, "10.0.0.2:80", second.Services["db"].Endpoints[0].Address)

	// A bad file changes nothing, is counted, and is forgotten once it is mended.
	k.write("endpoints.yaml", "version: 1\nservices:\n  db: {adress: nowhere}\n")
	stale := `control_files_refused{files="endpoints"} `
	eventually(t, "the fault is seen", func() bool { _, text := k.get("/metrics"); return strings.Contains(text, stale+"1") })
	require.Empty(t, applied)
	code, _ := k.get("/readyz")
	require.Equal(t, http.StatusOK, code, "what is in force serves on")
	k.write("endpoints.yaml", fileText("10.0.0.3:80"))
	require.Equal(t, "10.0.0.3:80", (<-applied).Services["db"].Endpoints[0].Address)
	eventually(t, "the fault is gone", func() bool { _, text := k.get("/metrics"); return strings.Contains(text, stale+"0") })

	// Heartbeats keep the stream alive and apply nothing.
	heard := client.Status().Heard
	eventually(t, "a heartbeat", func() bool { return client.Status().Heard.After(heard) })
	require.EqualValues(t, 1, client.Status().Connections)
}

// TestSnapshotsAreAtomic changes two services together, over and over: no snapshot may show one without the other.
func TestSnapshotsAreAtomic(t *testing.T) {
	k := start(t)
	both := func(n byte) string {
		return strings.ReplaceAll("version: 1\nservices:\n  a: {endpoints: [{address: \"10.0.0.N:80\"}]}\n  b: {endpoints: [{address: \"10.0.0.N:80\"}]}\n", "N", string('0'+n))
	}
	applied := make(chan discovery.Snapshot, 256)
	client := discovery.New(*k.address("all.token"), k.proxy("web"), func(s discovery.Snapshot) { applied <- s }, discovery.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go client.Run(ctx)
	<-applied
	last := uint64(0)
	for i := range 40 {
		want := byte(i % 9)
		require.NoError(t, k.catalog.setServices(parse(t, both(want)), nil, nil))
		for {
			s := <-applied
			require.Greater(t, s.Version, last)
			last = s.Version
			require.Equal(t, s.Services["a"].Endpoints, s.Services["b"].Endpoints)
			if s.Services["a"].Endpoints[0].Address[7] == '0'+want {
				break
			}
		}
		k.catalog.mu.Lock()
		require.Equal(t, last, k.catalog.newest.snapshot.Version)
		k.catalog.mu.Unlock()
	}
}

func parse(t testing.TB, text string) map[string]discovery.Service {
	t.Helper()
	e, err := config.ParseEndpoints("test.yaml", []byte(text))
	require.NoError(t, err)
	return servicesOf(e)
}

// TestOutage stops the control plane and starts it again on its files: proxies keep what they have meanwhile.
func TestOutage(t *testing.T) {
	k := start(t)
	web := k.proxy("web")
	a := k.Addresses()
	applied := make(chan discovery.Snapshot, 16)
	client := discovery.New(*k.address("all.token"), web, func(s discovery.Snapshot) { applied <- s }, discovery.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go client.Run(ctx)
	first := <-applied
	k.end()
	eventually(t, "the loss is noticed", func() bool { return !client.Status().Connected })
	require.True(t, client.Ready())
	require.True(t, web.Ready())
	require.Empty(t, applied)

	k.config.Bootstrap, k.config.Listen = a.Bootstrap, a.Snapshots
	k.write("endpoints.yaml", fileText("10.0.0.9:80"))
	again := run(t, k.config, k.dir)
	second := <-applied
	require.Greater(t, second.Version, first.Version, "versions grow over a restart")
	require.Equal(t, "10.0.0.9:80", second.Services["db"].Endpoints[0].Address)
	require.Equal(t, a.Snapshots, again.Addresses().Snapshots)
}

// TestRootIsReplaced follows an operator through the three steps on disk, with a proxy that never restarts.
func TestRootIsReplaced(t *testing.T) {
	k := start(t)
	web, db := k.proxy("web"), k.proxy("db")
	applied := make(chan discovery.Snapshot, 64)
	for _, s := range []*identity.Source{web, db} {
		client := discovery.New(*k.address("all.token"), s, func(got discovery.Snapshot) { applied <- got }, discovery.Options{})
		go client.Run(t.Context())
	}
	oldRoot, err := os.ReadFile(k.config.CA.Certificate)
	require.NoError(t, err)
	domain := spiffeid.RequireTrustDomainFromString(testDomain)
	root, key, err := identity.NewRoot(domain, time.Now())
	require.NoError(t, err)
	newRoot := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})

	k.write("ca.pem", string(oldRoot)+string(newRoot))
	for _, s := range []*identity.Source{web, db} {
		eventually(t, "both roots are accepted", func() bool { return len(s.Bundle().Roots()) == 2 })
	}
	old := k.authority.Load()
	fresh := config.CA{Certificate: filepath.Join(k.dir, "new.pem"), Key: filepath.Join(k.dir, "new.key")}
	require.NoError(t, identity.WriteAuthority(fresh, []*x509.Certificate{root}, key))
	require.NoError(t, os.Rename(fresh.Key, k.config.CA.Key))
	eventually(t, "the new key issues", func() bool { return k.authority.Load() != old })

	k.write("ca.pem", string(newRoot))
	for _, s := range []*identity.Source{web, db} {
		eventually(t, "the SVID is of the new root", func() bool { return len(s.Bundle().Roots()) == 1 && s.Stats().Rotations > 0 })
	}
	late := k.proxy("late")
	require.True(t, late.Bundle().Equal(web.Bundle()))
	_, page := k.get("/bundle")
	require.Equal(t, string(newRoot), page)
}

// TestProxyMissedTheNewRoot: it was away while the roots were replaced, and finds back by itself, because a refusal makes it ask for
// another SVID.
func TestProxyMissedTheNewRoot(t *testing.T) {
	k := start(t)
	web := k.proxy("web")
	domain := spiffeid.RequireTrustDomainFromString(testDomain)
	root, key, err := identity.NewRoot(domain, time.Now())
	require.NoError(t, err)
	require.NoError(t, identity.WriteAuthority(k.config.CA, []*x509.Certificate{root}, key))
	eventually(t, "the new root is in force", func() bool { return k.source.Stats().Rotations > 0 })
	client := discovery.New(*k.address("all.token"), web, func(discovery.Snapshot) {}, discovery.Options{})
	go client.Run(t.Context())
	eventually(t, "it is connected again", func() bool { return client.Status().Connected })
	require.Positive(t, web.Stats().Rotations)
}

func TestIssueRefusals(t *testing.T) {
	k := start(t)
	all, err := os.ReadFile(filepath.Join(k.dir, "all.token"))
	require.NoError(t, err)
	good := "Bearer " + strings.TrimSpace(string(all))
	for name, c := range map[string]struct {
		authorization, body string
		status              int
		reason              string
	}{
		"no token":                {"", request(t, service("web")), 401, "unknown_token"},
		"a wrong token":           {"Bearer wrong", request(t, service("web")), 401, "unknown_token"},
		"another scheme":          {"Basic" + strings.TrimPrefix(good, "Bearer"), request(t, service("web")), 401, "unknown_token"},
		"a wrong token, no body":  {"Bearer wrong", "", 401, "unknown_token"},
		"a token for another ID":  {"Bearer a secret that only web knows", request(t, service("db")), 403, "id_not_allowed"},
		"a longer ID":             {"Bearer a secret that only web knows", request(t, service("web")+"-admin"), 403, "id_not_allowed"},
		"the control plane's ID":  {good, request(t, identity.ControlID(testDomain)), 403, "id_not_allowed"},
		"another trust domain":    {good, request(t, "spiffe://elsewhere.test/ns/shop/sa/web"), 403, "wrong_trust_domain"},
		"no JSON":                 {good, "hello", 400, "malformed_request"},
		"no request":              {good, "{}", 400, "malformed_request"},
		"a request of no meaning": {good, `{"request":"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"}`, 400, "malformed_request"},
		"a long body":             {good, `{"request":"` + strings.Repeat("A", 100_000) + `"}`, 400, "malformed_request"},
		"web, with web's token":   {"bearer a secret that only web knows", request(t, service("web")), 200, ""},
		"anybody, with the other": {good, request(t, service("db")), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := k.post(c.authorization, c.body)
			require.Equal(t, c.status, status, body)
			var refused identity.IssueError
			require.NoError(t, json.Unmarshal([]byte(body), &refused))
			require.Equal(t, c.reason, refused.Reason)
			require.Equal(t, "no-store", header.Get("Cache-Control"))
			if status == 401 {
				require.Equal(t, "Bearer", header.Get("WWW-Authenticate"))
			}
		})
	}
	_, page := k.get("/metrics")
	require.Contains(t, page, `control_svid_requests_refused_total{reason="unknown_token"} 4`)
	require.Contains(t, page, `control_svids_issued_total 2`)
}

func request(t testing.TB, id string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	text, err := identity.NewRequest(spiffeid.RequireFromString(id), key)
	require.NoError(t, err)
	body, err := json.Marshal(identity.IssueRequest{Request: string(text)})
	require.NoError(t, err)
	return string(body)
}

func (r *running) post(authorization, body string) (int, http.Header, string) {
	r.t.Helper()
	q, err := http.NewRequest(http.MethodPost, "https://"+r.Addresses().Bootstrap+identity.IssuePath, bytes.NewReader([]byte(body)))
	require.NoError(r.t, err)
	q.Header.Set("Authorization", authorization)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}
	response, err := transport.RoundTrip(q)
	require.NoError(r.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return response.StatusCode, response.Header, string(text)
}

// TestSnapshotsNeedAnSVID: neither nobody nor a stranger hears where services are.
func TestSnapshotsNeedAnSVID(t *testing.T) {
	k := start(t)
	stranger, _, err := identity.OpenAuthority(spiffeid.RequireTrustDomainFromString("elsewhere.test"), config.CA{}, time.Hour, time.Now)
	require.NoError(t, err)
	source, err := identity.NewAuthoritySource(t.Context(), func() *identity.Authority { return stranger }, "spiffe://elsewhere.test/ns/a/sa/b", identity.Options{})
	require.NoError(t, err)
	defer source.Close()
	strange := source.ClientConfig("x").Clone()
	strange.VerifyConnection = nil
	for reason, c := range map[string]*tls.Config{"no_certificate": {InsecureSkipVerify: true}, "wrong_trust_domain": strange} {
		transport := &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}
		q, err := http.NewRequest(http.MethodGet, "https://"+k.Addresses().Snapshots+discovery.Path, nil)
		require.NoError(t, err)
		_, err = transport.RoundTrip(q)
		require.Error(t, err)
		_, page := k.get("/metrics")
		require.Contains(t, page, `control_handshakes_refused_total{reason="`+reason+`"} 1`)
	}
}

// TestStreamEndsWithItsSVID: a proxy whose SVID ended is not told any more.
func TestStreamEndsWithItsSVID(t *testing.T) {
	c, dir := prepare(t)
	c.Lifetime = units.Duration(2 * time.Second)
	k := run(t, c, dir)
	web := k.proxy("web")
	transport := &http.Transport{TLSClientConfig: web.ClientConfig(identity.ControlID(testDomain))}
	web.Close() // no renewal
	q, err := http.NewRequest(http.MethodGet, "https://"+k.Addresses().Snapshots+discovery.Path, nil)
	require.NoError(t, err)
	response, err := transport.RoundTrip(q)
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body) // ends, although the control plane goes on
	require.NoError(t, err)
	require.False(t, time.Now().Before(web.Stats().NotAfter))
}

func TestAdminPages(t *testing.T) {
	k := start(t)
	for path, want := range map[string]string{
		"/healthz":  "ok",
		"/readyz":   "ok",
		"/config":   `"trust_domain":"mesh.test"`,
		"/snapshot": `"10.0.0.1:80"`,
		"/bundle":   "BEGIN CERTIFICATE",
		"/metrics":  `control_build_info{go=`,
	} {
		status, body := k.get(path)
		require.Equal(t, http.StatusOK, status, path)
		require.Contains(t, body, want, path)
		require.NotContains(t, body, "a secret that only web knows", path)
		require.NotContains(t, body, "PRIVATE KEY", path)
	}
	status, _ := k.get("/nothing")
	require.Equal(t, http.StatusNotFound, status)
	k.draining.Store(true)
	status, body := k.get("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "draining\n", body)
}

func TestDrainEndsStreams(t *testing.T) {
	k := start(t)
	client := discovery.New(*k.address("all.token"), k.proxy("web"), func(discovery.Snapshot) {}, discovery.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go client.Run(ctx)
	require.NoError(t, client.Wait(ctx))
	_, page := k.get("/metrics")
	require.Contains(t, page, "control_subscribers 1")
	k.end() // returns although a stream was open
	eventually(t, "the client notices", func() bool { return !client.Status().Connected })
	require.True(t, client.Ready())
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(c *config.Control, dir string)
		fault  string
	}{
		"a short token": {func(_ *config.Control, dir string) {
			os.WriteFile(filepath.Join(dir, "web.token"), []byte("short"), 0o600)
		}, "fewer than 16"},
		"no endpoints": {func(c *config.Control, dir string) { c.Endpoints = filepath.Join(dir, "none.yaml") }, "none.yaml"},
		"bad endpoints": {func(_ *config.Control, dir string) {
			os.WriteFile(filepath.Join(dir, "endpoints.yaml"), []byte("version: 2\n"), 0o600)
		}, "version"},
		"a bad trust domain": {func(c *config.Control, _ string) { c.TrustDomain = "Mesh!" }, "trust_domain"},
		"half an authority":  {func(c *config.Control, _ string) { os.WriteFile(c.CA.Key, []byte("x"), 0o600) }, "ca.pem"},
		"a socket":           {func(c *config.Control, _ string) { c.Listen = "unix:/x" }, "host:port only"},
	} {
		t.Run(name, func(t *testing.T) {
			conf, dir := prepare(t)
			c.change(conf, dir)
			_, err := New(t.Context(), conf, Options{})
			require.ErrorContains(t, err, c.fault)
		})
	}
	t.Run("a port in use", func(t *testing.T) {
		k := start(t)
		conf, _ := prepare(t)
		conf.Listen = k.Addresses().Bootstrap
		_, err := New(t.Context(), conf, Options{})
		require.ErrorContains(t, err, "opening the listen listener")
	})
}

func TestTokensAreReadAgain(t *testing.T) {
	k := start(t)
	status, _, _ := k.post("Bearer a secret of tomorrow", request(t, service("web")))
	require.Equal(t, 401, status)
	k.write("web.token", "a secret of tomorrow")
	eventually(t, "the new token is known", func() bool {
		status, _, _ := k.post("Bearer a secret of tomorrow", request(t, service("web")))
		return status == 200
	})
	status, _, _ = k.post("Bearer a secret that only web knows", request(t, service("web")))
	require.Equal(t, 401, status, "and the old one is not")
}

func TestMakeToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "token")
	made, err := MakeToken(file)
	require.NoError(t, err)
	require.True(t, made)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	first, err := os.ReadFile(file)
	require.NoError(t, err)
	made, err = MakeToken(file)
	require.NoError(t, err)
	require.False(t, made)
	again, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.GreaterOrEqual(t, len(first), 52, "256 bits in base 32")
}

func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mesh")
	files, err := Init(dir, testDomain, time.Now())
	require.NoError(t, err)
	require.Len(t, files, 5)
	for name, mode := range map[string]os.FileMode{initialKey: 0o600, initialToken: 0o600, initialRoot: 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
	c, err := config.LoadControl(filepath.Join(dir, initialConfig))
	require.NoError(t, err)
	c.Bootstrap, c.Listen, c.Admin.Address = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	k := run(t, c, dir)
	_, page := k.get("/snapshot")
	require.Contains(t, page, "spiffe://mesh.test/ns/default/sa/hello")
	_, err = Init(dir, testDomain, time.Now())
	require.ErrorIs(t, err, os.ErrExist)
	for _, bad := range []string{"", "Mesh", "spiffe://mesh.test", "a b"} {
		_, err = Init(filepath.Join(dir, "other"), bad, time.Now())
		require.ErrorContains(t, err, "no trust domain")
	}
}
