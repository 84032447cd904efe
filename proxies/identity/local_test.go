package identity

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

// svidFiles writes an SVID that an authority issued as three files.
type svidFiles struct{ config.IdentityFiles }

func newSVIDFiles(t testing.TB) svidFiles {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	return svidFiles{config.IdentityFiles{Certificate: at("svid.pem"), Key: at("svid.key"), Bundle: at("bundle.pem")}}
}

// issue returns the three contents: chain, key, bundle.
func issue(t testing.TB, a *Authority, id string) [3][]byte {
	t.Helper()
	key := newKey(t, p256)
	parsed, err := ParseID(id)
	require.NoError(t, err)
	chain, err := a.Issue(&Request{ID: parsed, Key: &key.PublicKey})
	require.NoError(t, err)
	return [3][]byte{encodeCertificates(chain), []byte(pemKey(t, key)), a.Bundle().PEM()}
}

func (f svidFiles) write(t testing.TB, content [3][]byte) {
	t.Helper()
	for i, name := range []string{f.Certificate, f.Key, f.Bundle} {
		if content[i] != nil {
			require.NoError(t, os.WriteFile(name, content[i], 0o600))
		}
	}
}

func (f svidFiles) identity() config.Identity {
	return config.Identity{TrustDomain: testDomain, ID: service("web"), Files: &f.IdentityFiles}
}

func TestFilesAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, testDomain, time.Hour)
		f := newSVIDFiles(t)
		f.write(t, issue(t, a, service("web")))
		s, err := NewSource(t.Context(), f.identity(), Options{Poll: time.Second})
		require.NoError(t, err)
		defer s.Close()
		require.True(t, s.Ready(), "files are there or they are not: the first SVID is at hand at once")
		first := s.current.Load().certificate
		tick := func() { time.Sleep(1500 * time.Millisecond); synctest.Wait() }

		tick()
		require.Same(t, first, s.current.Load().certificate, "what did not change is not replaced")
		require.Zero(t, s.Stats().Rotations)

		next := issue(t, a, service("web"))
		f.write(t, [3][]byte{next[0], nil, nil})
		tick()
		require.Same(t, first, s.current.Load().certificate, "a certificate without its key is not used")
		require.Contains(t, s.Stats().LastError, "does not belong to the private key")
		f.write(t, [3][]byte{nil, next[1], nil})
		tick()
		require.NotSame(t, first, s.current.Load().certificate)
		require.EqualValues(t, 1, s.Stats().Rotations)
		require.Empty(t, s.Stats().LastError)

		second := s.current.Load().certificate
		f.write(t, issue(t, a, service("db")))
		tick()
		require.Contains(t, s.Stats().LastError, "not for "+service("web"))
		tick()
		require.Contains(t, s.Stats().LastError, "not for "+service("web"), "a fault stays visible until it is mended")
		require.NoError(t, os.Remove(f.Bundle))
		tick()
		require.Contains(t, s.Stats().LastError, f.Bundle)
		require.Same(t, second, s.current.Load().certificate)
		require.True(t, s.Ready())
	})
}

func TestFileRulesOverAnnouncedBundle(t *testing.T) {
	a, other := newAuthority(t, testDomain, time.Hour), newAuthority(t, testDomain, time.Hour)
	f := newSVIDFiles(t)
	f.write(t, issue(t, a, service("web")))
	s, err := NewFileSource(t.Context(), f.identity(), Options{})
	require.NoError(t, err)
	defer s.Close()
	s.SetBundle(other.Bundle())
	require.True(t, s.Bundle().Equal(a.Bundle()))
}

func TestFilesRefused(t *testing.T) {
	a, other := newAuthority(t, testDomain, time.Hour), newAuthority(t, testDomain, time.Hour)
	good := issue(t, a, service("web"))
	for name, c := range map[string]struct {
		content [3][]byte
		fault   string
	}{
		"missing":           {[3][]byte{}, "no such file"},
		"no certificate":    {[3][]byte{[]byte("\n"), good[1], good[2]}, "no certificate"},
		"no key":            {[3][]byte{good[0], []byte("\n"), good[2]}, "private key"},
		"no bundle":         {[3][]byte{good[0], good[1], []byte("\n")}, "no certificate"},
		"another root":      {[3][]byte{good[0], good[1], other.Bundle().PEM()}, "untrusted"},
		"another's SVID":    {issue(t, a, service("db")), "is for " + service("db")},
		"another's key":     {[3][]byte{good[0], issue(t, a, service("web"))[1], good[2]}, "does not belong"},
		"a bundle of SVIDs": {[3][]byte{good[0], good[1], good[0]}, "may not sign"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newSVIDFiles(t)
			f.write(t, c.content)
			_, err := NewFileSource(t.Context(), f.identity(), Options{})
			require.ErrorContains(t, err, c.fault)
		})
	}
	for name, id := range map[string]config.Identity{
		"no files":             {ID: service("web")},
		"another trust domain": {ID: service("web"), TrustDomain: "elsewhere.test", Files: &config.IdentityFiles{}},
		"no ID":                {Files: &config.IdentityFiles{}},
	} {
		_, err := NewFileSource(t.Context(), id, Options{})
		require.Error(t, err, name)
	}
}

func TestIntermediateFromFiles(t *testing.T) {
	root := newAuthority(t, testDomain, time.Hour)
	certificates, key, err := root.Intermediate(time.Hour)
	require.NoError(t, err)
	below, err := NewAuthority(root.domain, certificates, key, time.Hour, time.Now)
	require.NoError(t, err)
	f := newSVIDFiles(t)
	f.write(t, issue(t, below, service("web")))
	s, err := NewFileSource(t.Context(), f.identity(), Options{})
	require.NoError(t, err)
	defer s.Close()
	_, err = root.Bundle().Verify(chainOf(s.current.Load().certificate), x509.ExtKeyUsageServerAuth, time.Now())
	require.NoError(t, err)
}
