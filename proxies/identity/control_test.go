package identity

import (
	"context"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

var p256 = elliptic.P256()

// issuer is a control plane's bootstrap listener whose answers a test decides.
type issuer struct {
	answer  atomic.Pointer[http.HandlerFunc]
	address string
}

func newIssuer(t testing.TB, s *Source, answer http.HandlerFunc) *issuer {
	i := &issuer{}
	i.answer.Store(&answer)
	l := listen(t)
	i.address = l.Addr().String()
	server := &http.Server{
		Handler:  http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*i.answer.Load())(w, r) }),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go server.Serve(tls.NewListener(l, s.BootstrapConfig()))
	t.Cleanup(func() { server.Close() })
	return i
}

// honest issues what was asked for.
func honest(t testing.TB, a *Authority) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var asked IssueRequest
		json.NewDecoder(r.Body).Decode(&asked)
		request, err := ParseRequest([]byte(asked.Request))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		chain, err := a.Issue(request)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		reply(w, string(encodeCertificates(chain)), string(a.Bundle().PEM()))
	}
}

func reply(w http.ResponseWriter, chain, bundle string) {
	json.NewEncoder(w).Encode(IssueResponse{Chain: chain, Bundle: bundle})
}

func controlIdentity(t testing.TB, i *issuer, roots *Bundle) config.Identity {
	t.Helper()
	dir := t.TempDir()
	c := &config.ControlAddress{
		Bootstrap: i.address,
		Roots:     filepath.Join(dir, "roots.pem"),
		Token:     filepath.Join(dir, "token"),
	}
	require.NoError(t, os.WriteFile(c.Roots, roots.PEM(), 0o644))
	require.NoError(t, os.WriteFile(c.Token, []byte("a token of some length\n"), 0o600))
	return config.Identity{TrustDomain: testDomain, ID: service("web"), Control: c}
}

func TestControlSource(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	control := newSourceOf(t, a, ControlID(testDomain))
	var sent atomic.Pointer[http.Request]
	i := newIssuer(t, control, func(w http.ResponseWriter, r *http.Request) {
		sent.Store(r)
		honest(t, a)(w, r)
	})
	s, err := NewSource(t.Context(), controlIdentity(t, i, a.Bundle()), Options{})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Wait(t.Context()))
	require.Equal(t, "Bearer a token of some length", sent.Load().Header.Get("Authorization"))
	require.Equal(t, IssuePath, sent.Load().URL.Path)
	db := newSourceOf(t, a, service("db"))
	o := handshake(t, s.ClientConfig(service("db")), db.ServerConfig(Strict))
	require.NoError(t, o.client)
	require.Equal(t, service("web"), PeerID(o.serverSaw))
}

// TestControlSourceRefuses gives every wrong answer: none may come into force.
func TestControlSourceRefuses(t *testing.T) {
	a, other := newAuthority(t, testDomain, time.Hour), newAuthority(t, testDomain, time.Hour)
	control := newSourceOf(t, a, ControlID(testDomain))
	somebody := issue(t, a, service("web"))
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		fault  string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			json.NewEncoder(w).Encode(IssueError{Reason: "id_not_allowed", Detail: "not with this token"})
		}, "status 403, id_not_allowed: not with this token"},
		"a status without words": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "status 502"},
		"no JSON":                {func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) }, "reading the answer"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.test/", http.StatusTemporaryRedirect)
		}, "redirect"},
		"no SVID":     {func(w http.ResponseWriter, _ *http.Request) { reply(w, "", string(a.Bundle().PEM())) }, "no certificate"},
		"no bundle":   {func(w http.ResponseWriter, _ *http.Request) { reply(w, string(somebody[0]), "") }, "no certificate"},
		"another key": {func(w http.ResponseWriter, _ *http.Request) { reply(w, string(somebody[0]), string(somebody[2])) }, "does not belong to the private key"},
		"roots of somebody else": {func(w http.ResponseWriter, r *http.Request) {
			reply(w, string(somebody[0]), string(other.Bundle().PEM()))
		}, "untrusted"},
		"another ID": {func(w http.ResponseWriter, r *http.Request) {
			reply(w, string(issue(t, a, service("db"))[0]), string(a.Bundle().PEM()))
		}, "is for " + service("db")},
		"an endless answer": {func(w http.ResponseWriter, _ *http.Request) {
			for range maxIssued / 1024 * 2 {
				w.Write(make([]byte, 1024))
			}
		}, "reading the answer"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, control, c.answer)
			p := providerOf(t, controlIdentity(t, i, a.Bundle()))
			_, _, err := p.obtain(t.Context())
			require.ErrorContains(t, err, c.fault)
			require.ErrorContains(t, err, i.address, "the error names the control plane")
		})
	}
}

func providerOf(t testing.TB, c config.Identity) *controlProvider {
	t.Helper()
	id, err := workloadID(c)
	require.NoError(t, err)
	return &controlProvider{renewal: renewal{Options{}.filled()}, id: id, address: *c.Control}
}

// TestTokenIsGivenToTheControlPlaneOnly: nobody else of the mesh, and nobody outside it, obtains the token.
func TestTokenIsGivenToTheControlPlaneOnly(t *testing.T) {
	a, stranger := newAuthority(t, testDomain, time.Hour), newAuthority(t, testDomain, time.Hour)
	for name, c := range map[string]struct {
		server *Source
		want   Reason
	}{
		"another service of the mesh": {newSourceOf(t, a, service("db")), WrongIdentity},
		"a control plane unknown":     {newSourceOf(t, stranger, ControlID(testDomain)), Untrusted},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, c.server, func(http.ResponseWriter, *http.Request) { t.Error("the token was sent") })
			_, _, err := providerOf(t, controlIdentity(t, i, a.Bundle())).obtain(t.Context())
			require.Equal(t, c.want, ReasonOf(err), "%v", err)
		})
	}
}

// TestControlPlaneMayReplaceItsRoot: the roots announced last recognize the control plane, even where the file still has the old one.
func TestControlPlaneMayReplaceItsRoot(t *testing.T) {
	old, oldRoot, oldKey := newAuthorityKey(t, testDomain, time.Hour)
	fresh, newRoot, _ := newAuthorityKey(t, testDomain, time.Hour)
	both, err := NewAuthority(old.domain, []*x509.Certificate{oldRoot, newRoot}, oldKey, time.Hour, time.Now)
	require.NoError(t, err)
	var current atomic.Pointer[Authority]
	current.Store(both)
	control, err := NewAuthoritySource(t.Context(), current.Load, ControlID(testDomain), Options{})
	require.NoError(t, err)
	defer control.Close()
	i := newIssuer(t, control, honest(t, both))
	p := providerOf(t, controlIdentity(t, i, old.Bundle()))
	_, bundle, err := p.obtain(t.Context())
	require.NoError(t, err)
	require.Len(t, bundle.Roots(), 2)

	current.Store(fresh)
	require.NoError(t, control.renew(t.Context()))
	answer := honest(t, fresh)
	i.answer.Store(&answer)
	certificate, bundle, err := p.obtain(t.Context())
	require.NoError(t, err)
	require.True(t, bundle.Equal(fresh.Bundle()))
	require.NotNil(t, certificate)
}

// TestControlPlaneComesLater: a sidecar that starts first waits, and says what for.
func TestControlPlaneComesLater(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	control := newSourceOf(t, a, ControlID(testDomain))
	i := newIssuer(t, control, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	s, err := NewControlSource(t.Context(), controlIdentity(t, i, a.Bundle()), Options{})
	require.NoError(t, err)
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, s.Wait(ctx), "status 503")
	require.False(t, s.Ready())
	answer := honest(t, a)
	i.answer.Store(&answer)
	require.NoError(t, s.Wait(t.Context()))
	require.True(t, s.Ready())
}

func TestControlSourceConfiguration(t *testing.T) {
	_, err := NewControlSource(t.Context(), config.Identity{ID: service("web")}, Options{})
	require.ErrorContains(t, err, "names no control plane")
	_, err = NewControlSource(t.Context(), config.Identity{ID: "web"}, Options{})
	require.ErrorContains(t, err, "no SPIFFE ID")
	_, err = NewControlSource(t.Context(), config.Identity{ID: service("web"), Control: &config.ControlAddress{Bootstrap: "unix:/x"}}, Options{})
	require.ErrorContains(t, err, "host:port")
}

func TestKeyStaysHere(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	control := newSourceOf(t, a, ControlID(testDomain))
	var body atomic.Pointer[IssueRequest]
	i := newIssuer(t, control, func(w http.ResponseWriter, r *http.Request) {
		var asked IssueRequest
		json.NewDecoder(r.Body).Decode(&asked)
		body.Store(&asked)
		w.WriteHeader(http.StatusTeapot)
	})
	p := providerOf(t, controlIdentity(t, i, a.Bundle()))
	keys := map[string]bool{}
	for range 3 {
		_, _, err := p.obtain(t.Context())
		require.ErrorContains(t, err, "status 418")
		text := body.Load().Request
		block, rest := pem.Decode([]byte(text))
		require.Equal(t, "CERTIFICATE REQUEST", block.Type)
		require.Empty(t, rest)
		r, err := ParseRequest([]byte(text))
		require.NoError(t, err)
		public, err := r.Key.Bytes()
		require.NoError(t, err)
		keys[string(public)] = true
	}
	require.Len(t, keys, 3, "every SVID has a key of its own")
}
