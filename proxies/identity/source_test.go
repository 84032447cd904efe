package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/quick"
	"testing/synctest"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"
)

// flaky is an authority's provider that can be told to fail, and notes when it was asked.
type flaky struct {
	authorityProvider
	mu    sync.Mutex
	fault error
	asked []time.Time
}

func (p *flaky) obtain(ctx context.Context) (*tls.Certificate, *Bundle, error) {
	p.mu.Lock()
	p.asked = append(p.asked, time.Now())
	fault := p.fault
	p.mu.Unlock()
	if fault != nil {
		return nil, nil, fault
	}
	return p.authorityProvider.obtain(ctx)
}

func (p *flaky) fail(err error) (asked []time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = err
	asked, p.asked = p.asked, nil
	return asked
}

func newFlaky(t testing.TB, current func() *Authority) (*flaky, *Source) {
	t.Helper()
	o := Options{}.filled()
	id := spiffeid.RequireFromString(service("web"))
	p := &flaky{authorityProvider: authorityProvider{renewal: renewal{o}, id: id, current: current}}
	return p, newSource(id, p, o)
}

// TestRotation runs a day of renewals in a moment: each at half of the lifetime, and the random spread is really drawn.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lifetime = 10 * time.Minute
		a := newAuthority(t, testDomain, lifetime)
		p, s := newFlaky(t, func() *Authority { return a })
		s.start(t.Context(), 0)
		require.NoError(t, s.Wait(t.Context()))
		for range 24 * 60 {
			time.Sleep(time.Minute)
			require.True(t, s.Ready())
		}
		asked := p.fail(nil)
		require.Greater(t, len(asked), 24*60/10*19/10)
		distinct := map[time.Duration]bool{}
		for i := range asked[1:] {
			between := asked[i+1].Sub(asked[i])
			distinct[between] = true
			// Certificates hold whole seconds, hence one less.
			require.GreaterOrEqual(t, between, time.Duration(0.49*float64(lifetime-time.Second)))
			require.LessOrEqual(t, between, time.Duration(0.51*float64(lifetime)))
		}
		require.Greater(t, len(distinct), len(asked)/2)
		require.EqualValues(t, len(asked)-1, s.Stats().Rotations)
		s.Close()
	})
}

// TestOutage takes the authority away: the valid SVID stays, tries become rarer but never so rare that the SVID would end between
// two of them, and the first try after the outage mends it.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, testDomain, 24*time.Hour)
		p, s := newFlaky(t, func() *Authority { return a })
		s.start(t.Context(), 0)
		require.NoError(t, s.Wait(t.Context()))
		held := s.current.Load()
		p.fail(errors.New("the control plane is down"))
		time.Sleep(23 * time.Hour)
		require.True(t, s.Ready())
		require.Same(t, held, s.current.Load())
		stats := s.Stats()
		require.Contains(t, stats.LastError, "is down")
		require.EqualValues(t, 0, stats.Rotations)
		asked := p.fail(errors.New("the control plane is down"))
		require.EqualValues(t, len(asked), stats.Failures)
		for i := range asked[1:] {
			between := asked[i+1].Sub(asked[i])
			require.GreaterOrEqual(t, between, firstBackoff)
			require.LessOrEqual(t, between, longBackoff)
		}
		require.Greater(t, asked[20].Sub(asked[19]), longBackoff/2-1)

		time.Sleep(2 * time.Hour)
		require.False(t, s.Ready(), "only expiry ends it")
		p.fail(nil)
		time.Sleep(longBackoff)
		require.True(t, s.Ready(), "and it comes back by itself")
		require.Empty(t, s.Stats().LastError)
		s.Close()
	})
}

func TestBackoff(t *testing.T) {
	require.NoError(t, quick.Check(func(failures uint8, random float64) bool {
		random = random - float64(int64(random)) // into (-1, 1)
		d := backoff(int(failures)+1, max(random, -random))
		return d >= firstBackoff && d <= longBackoff
	}, nil))
	for failures, longest := range []time.Duration{1: time.Second / 2, 2: time.Second, 3: 2 * time.Second, 9: 128 * time.Second, 10: longBackoff, 200: longBackoff} {
		if longest > 0 {
			require.Equal(t, longest, backoff(failures, 1))
		}
	}
}

// TestShortLivedOutlivesPause holds the bound that keeps an SVID of minutes alive over a short outage.
func TestShortLivedOutlivesPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := renewal{Options{}.filled()}
		leaf := &x509.Certificate{NotAfter: time.Now().Add(30 * time.Second)}
		for failures := 1; failures < 30; failures++ {
			require.LessOrEqual(t, r.wait(leaf, failures), 10*time.Second)
		}
		leaf.NotAfter = time.Now().Add(-time.Second)
		require.Greater(t, r.wait(leaf, 30), 70*time.Second, "once it has ended nothing is gained by hurry")
	})
}

// TestPushedBundle: a bundle announced while a renewal is under way is the newer one.
func TestPushedBundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, oldRoot, oldKey := newAuthorityKey(t, testDomain, time.Hour)
		_, newRoot, _ := newAuthorityKey(t, testDomain, time.Hour)
		domain := spiffeid.RequireTrustDomainFromString(testDomain)
		both, err := NewAuthority(domain, []*x509.Certificate{oldRoot, newRoot}, oldKey, time.Hour, time.Now)
		require.NoError(t, err)
		s := newSource(spiffeid.RequireFromString(service("web")), nil, Options{}.filled())
		during := func() {}
		s.provider = &hooked{authorityProvider{renewal: renewal{s.options}, id: s.id, current: func() *Authority { return old }}, &during}
		require.NoError(t, s.renew(t.Context()))
		require.Len(t, s.Bundle().Roots(), 1)
		during = func() { s.SetBundle(both.Bundle()) }
		require.NoError(t, s.renew(t.Context()))
		require.Len(t, s.Bundle().Roots(), 2)
		during = func() {}
		require.NoError(t, s.renew(t.Context()))
		require.Len(t, s.Bundle().Roots(), 1, "an answer asked for later is newer")
		require.EqualValues(t, 3, s.Stats().Epoch)
	})
}

type hooked struct {
	authorityProvider
	during *func()
}

func (p *hooked) obtain(ctx context.Context) (*tls.Certificate, *Bundle, error) {
	(*p.during)()
	return p.authorityProvider.obtain(ctx)
}

// TestOrphanedSVIDIsRenewed: roots that no longer accept our own SVID make us ask for another at once.
func TestOrphanedSVIDIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old, fresh := newAuthority(t, testDomain, time.Hour), newAuthority(t, testDomain, time.Hour)
		var current atomic.Pointer[Authority]
		current.Store(old)
		p, s := newFlaky(t, current.Load)
		s.start(t.Context(), 0)
		require.NoError(t, s.Wait(t.Context()))
		current.Store(fresh)
		s.SetBundle(fresh.Bundle())
		synctest.Wait()
		require.Len(t, p.fail(nil), 2)
		require.True(t, s.Bundle().Equal(fresh.Bundle()))
		_, err := fresh.Bundle().Verify(chainOf(s.current.Load().certificate), x509.ExtKeyUsageClientAuth, time.Now())
		require.NoError(t, err)
		s.Close()
	})
}

func TestWaitSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, testDomain, time.Hour)
		p, s := newFlaky(t, func() *Authority { return a })
		p.fail(errors.New("no route to the control plane"))
		s.start(t.Context(), 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorContains(t, s.Wait(ctx), "no route to the control plane")
		s.Close()
	})
}

// TestHandshakesUnderRotation shakes hands all the time while SVIDs are replaced every other handshake and a root is replaced by
// another in the three steps of an operator: announce the new, issue with it, withdraw the old. No handshake may be refused.
func TestHandshakesUnderRotation(t *testing.T) {
	domain := spiffeid.RequireTrustDomainFromString(testDomain)
	first, oldRoot, oldKey := newAuthorityKey(t, testDomain, time.Hour)
	_, newRoot, newKey := newAuthorityKey(t, testDomain, time.Hour)
	both := []*x509.Certificate{oldRoot, newRoot}
	announced, err := NewAuthority(domain, both, oldKey, time.Hour, time.Now)
	require.NoError(t, err)
	issuing, err := NewAuthority(domain, both, newKey, time.Hour, time.Now)
	require.NoError(t, err)
	alone, err := NewAuthority(domain, []*x509.Certificate{newRoot}, newKey, time.Hour, time.Now)
	require.NoError(t, err)

	var current atomic.Pointer[Authority]
	current.Store(first)
	_, web := newFlaky(t, current.Load)
	_, db := newFlaky(t, current.Load)
	sources := []*Source{web, db}
	rotate := func() {
		for _, s := range sources {
			require.NoError(t, s.renew(t.Context()))
		}
	}
	rotate()
	stop, done := make(chan struct{}), make(chan struct{})
	var shaken, resumed atomic.Int64
	go func() {
		defer close(done)
		l := listen(t)
		server := db.ServerConfig(Strict)
		for {
			select {
			case <-stop:
				return
			default:
			}
			o := handshakeAt(t, l, web.ClientConfig(service("web")), server)
			if o.client != nil || o.server != nil {
				t.Errorf("after %d handshakes: client %v, server %v", shaken.Load(), o.client, o.server)
				return
			}
			shaken.Add(1)
			if o.clientSaw.DidResume {
				resumed.Add(1)
			}
		}
	}()
	for _, step := range []*Authority{first, announced, issuing, alone} {
		current.Store(step)
		for _, s := range sources { // bundles travel ahead of SVIDs
			s.SetBundle(step.Bundle())
		}
		for until := shaken.Load() + 15; shaken.Load() < until && !t.Failed(); {
			rotate()
			// Two handshakes later: the second resumes what the first began.
			for next := shaken.Load() + 2; shaken.Load() < next && !t.Failed(); {
				time.Sleep(time.Millisecond)
			}
		}
	}
	close(stop)
	<-done
	require.EqualValues(t, 4, web.Stats().Epoch+1, "three bundles were in force")
	require.Positive(t, resumed.Load())
	_, err = first.Bundle().Verify(chainOf(web.current.Load().certificate), x509.ExtKeyUsageClientAuth, time.Now())
	require.Equal(t, Untrusted, ReasonOf(err), "the old root is really gone")
}

func BenchmarkVerify(b *testing.B) {
	a := newAuthority(b, testDomain, time.Hour)
	s := newSourceOf(b, a, service("web"))
	chain := chainOf(s.current.Load().certificate)
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.bundle.Verify(chain, x509.ExtKeyUsageClientAuth, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			clear(a.bundle.verified)
			if _, err := a.bundle.Verify(chain, x509.ExtKeyUsageClientAuth, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
