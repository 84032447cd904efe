package identity

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"crossroads/proxies/config"
)

// Terms of renewal.
const (
	renewAt       = 0.5  // share of the remaining lifetime after which an SVID is renewed
	renewSpread   = 0.01 // drawn at random around it, so that a fleet started together does not renew together
	firstBackoff  = 500 * time.Millisecond
	longBackoff   = 150 * time.Second
	shortest      = 100 * time.Millisecond // between renewals: an authority that is about to end issues ever shorter SVIDs
	obtainTimeout = 10 * time.Second       // of one try at the control plane
)

// Options are what a Source needs besides its configuration. The zero value is ready to use.
type Options struct {
	Now    func() time.Time // nil: time.Now
	Random func() float64   // uniform over [0, 1); nil: math/rand/v2
	Log    *slog.Logger     // nil: silent
	Poll   time.Duration    // how often files are looked at; 0: 1 s
	// Before each try at an SVID it is asked, and an error is what the try ends with; nil: faults are nowhere on purpose.
	Before func(context.Context) error
}

func (o Options) filled() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	return o
}

// Source holds a process's own SVID and trust bundle and keeps both fresh until it is closed. Handshakes read what is in force with
// one atomic load. A failed renewal keeps what is still valid.
type Source struct {
	id       spiffeid.ID
	provider provider
	options  Options
	cancel   context.CancelFunc
	done     chan struct{}
	renewNow chan struct{}
	ready    chan struct{} // closed with the first SVID

	current atomic.Pointer[material]

	mu     sync.Mutex // changes of current, and stats
	pushed uint64     // bundles set from outside
	stats  Stats
}

// material is what a handshake needs, replaced as a whole.
type material struct {
	certificate *tls.Certificate
	bundle      *Bundle
	epoch       uint64   // of the bundle: sessions of an earlier one are not resumed
	clients     sync.Map // wanted SPIFFE ID -> *tls.Config of the connecting side
}

// provider is where SVIDs come from.
type provider interface {
	// obtain returns a new certificate and bundle that accept approved of, or nil where nothing changed.
	obtain(ctx context.Context) (*tls.Certificate, *Bundle, error)
	// wait returns the pause until the next obtain; failures counts those in a row.
	wait(leaf *x509.Certificate, failures int) time.Duration
	// ownsBundle says that the bundle comes from nowhere else.
	ownsBundle() bool
}

// Stats is what metrics show of a Source.
type Stats struct {
	ID        string
	NotAfter  time.Time // zero: no SVID yet
	Renewed   time.Time // last success
	Next      time.Time // next try
	Rotations uint64    // SVIDs obtained after the first
	Failures  uint64    // tries that failed
	LastError string    // of the last try; "" if it succeeded
	Roots     int       // in the bundle
	Epoch     uint64    // changes of the bundle
}

// NewSource obtains SVIDs from where the configuration says: a control plane, or files.
func NewSource(ctx context.Context, c config.Identity, o Options) (*Source, error) {
	if c.Files != nil {
		return NewFileSource(ctx, c, o)
	}
	return NewControlSource(ctx, c, o)
}

// newSource makes a Source that holds nothing yet and renews nothing until run.
func newSource(id spiffeid.ID, p provider, o Options) *Source {
	return &Source{
		id: id, provider: p, options: o,
		done: make(chan struct{}), renewNow: make(chan struct{}, 1), ready: make(chan struct{}),
		stats: Stats{ID: id.String()},
	}
}

// start renews in the background, first after pause, until ctx ends or Close.
func (s *Source) start(ctx context.Context, pause time.Duration) *Source {
	ctx, s.cancel = context.WithCancel(ctx)
	go s.run(ctx, pause)
	return s
}

// Close ends the renewal and waits for it. What is in force stays in force until it expires.
func (s *Source) Close() {
	s.cancel()
	<-s.done
}

// ID returns the SPIFFE ID of this process.
func (s *Source) ID() string { return s.id.String() }

// TrustDomain returns the name of the trust domain of this process.
func (s *Source) TrustDomain() string { return s.id.TrustDomain().Name() }

// Ready says whether an SVID is held that is valid now.
func (s *Source) Ready() bool {
	m := s.current.Load()
	return m != nil && s.options.Now().Before(m.certificate.Leaf.NotAfter)
}

// Wait blocks until the first SVID is there. Its error says what the last try failed on.
func (s *Source) Wait(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	default:
	}
	why := errors.New("the source was closed")
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		why = context.Cause(ctx)
	case <-s.done:
	}
	if text := s.Stats().LastError; text != "" {
		return fmt.Errorf("waiting for an SVID for %s: %s: %w", s.id, text, why)
	}
	return fmt.Errorf("waiting for an SVID for %s: %w", s.id, why)
}

// Stats returns the state of the renewal.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

// Bundle returns the roots in force, or nil before the first SVID.
func (s *Source) Bundle() *Bundle {
	if m := s.current.Load(); m != nil {
		return m.bundle
	}
	return nil
}

// SetBundle replaces the roots: the control plane announces them with every snapshot, long before the next renewal. An SVID that the
// new roots do not accept is renewed at once. Where the bundle comes from a file, the file rules and the call changes nothing.
func (s *Source) SetBundle(b *Bundle) {
	if s.provider.ownsBundle() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushed++
	m := s.current.Load()
	if m == nil || b.Equal(m.bundle) {
		return
	}
	s.replace(m.certificate, b)
	if _, err := b.Verify(chainOf(m.certificate), x509.ExtKeyUsageServerAuth, s.options.Now()); err != nil {
		s.Renew()
	}
}

// Renew asks for another SVID without waiting for its time, because somebody refused the one in force. It returns at once.
func (s *Source) Renew() {
	select {
	case s.renewNow <- struct{}{}:
	default: // asked for already
	}
}

// run waits, obtains and waits again.
func (s *Source) run(ctx context.Context, pause time.Duration) {
	defer close(s.done)
	failures := 0
	for s.pause(ctx, pause) {
		if err := s.renew(ctx); err == nil {
			failures = 0
		} else if ctx.Err() == nil {
			failures++
			s.options.Log.Warn("the SVID was not renewed", "id", s.id.String(), "tries", failures, "error", err)
		}
		pause = s.provider.wait(s.leaf(), failures)
	}
}

// pause waits until it is time, or until a renewal is asked for. It returns false when ctx ended.
func (s *Source) pause(ctx context.Context, d time.Duration) bool {
	s.mu.Lock()
	s.stats.Next = s.options.Now().Add(d)
	s.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.renewNow:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// renew obtains once and puts into force what came of it.
func (s *Source) renew(ctx context.Context) error {
	s.mu.Lock()
	pushed := s.pushed
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, obtainTimeout)
	defer cancel()
	certificate, bundle, err := s.obtain(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.stats.Failures++
		s.stats.LastError = err.Error()
		return err
	}
	s.stats.LastError = ""
	if certificate == nil {
		return nil
	}
	// A bundle announced while the request was under way is newer than the one that came with the answer.
	if old := s.current.Load(); old != nil && s.pushed != pushed {
		bundle = old.bundle
	}
	s.replace(certificate, bundle)
	return nil
}

func (s *Source) obtain(ctx context.Context) (*tls.Certificate, *Bundle, error) {
	if s.options.Before != nil {
		if err := s.options.Before(ctx); err != nil {
			return nil, nil, err
		}
	}
	return s.provider.obtain(ctx)
}

// accept refuses material that would only fail later, in a handshake.
func accept(id spiffeid.ID, c *tls.Certificate, b *Bundle, now time.Time) error {
	got, err := b.Verify(chainOf(c), x509.ExtKeyUsageServerAuth, now)
	if err != nil {
		return fmt.Errorf("the SVID obtained for %s: %w", id, err)
	}
	if got != id {
		return fmt.Errorf("the SVID obtained is for %s, not for %s", got, id)
	}
	if key, ok := c.PrivateKey.(crypto.Signer); !ok || !samePublicKey(c.Leaf.PublicKey, key.Public()) {
		return errors.New("the SVID obtained does not belong to the private key")
	}
	return nil
}

// replace puts material into force; s.mu is held.
func (s *Source) replace(c *tls.Certificate, b *Bundle) {
	next := &material{certificate: c, bundle: b}
	old := s.current.Load()
	switch {
	case old == nil:
		next.epoch = 1
		defer close(s.ready)
	case b.Equal(old.bundle):
		next.bundle, next.epoch = old.bundle, old.epoch // keeps what it has verified
	default:
		next.epoch = old.epoch + 1
	}
	if old == nil || old.certificate != c {
		if old != nil {
			s.stats.Rotations++
		}
		s.stats.Renewed = s.options.Now()
		s.stats.NotAfter = c.Leaf.NotAfter
	}
	s.stats.Roots, s.stats.Epoch = len(next.bundle.roots), next.epoch
	s.current.Store(next)
}

func (s *Source) leaf() *x509.Certificate {
	if m := s.current.Load(); m != nil {
		return m.certificate.Leaf
	}
	return nil
}

// chainOf parses a certificate's chain; the leaf is parsed already.
func chainOf(c *tls.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{c.Leaf}
	for _, raw := range c.Certificate[1:] {
		if parsed, err := x509.ParseCertificate(raw); err == nil {
			chain = append(chain, parsed)
		}
	}
	return chain
}

// renewal is the schedule of an issued SVID.
type renewal struct{ options Options }

// wait returns half of what remains of the SVID after success, and a growing pause after failures. While the SVID is valid the
// pause is never longer than a third of what remains: an SVID that lives for minutes must not end during a pause.
func (r renewal) wait(leaf *x509.Certificate, failures int) time.Duration {
	var remaining time.Duration
	if leaf != nil {
		remaining = leaf.NotAfter.Sub(r.options.Now())
	}
	if failures == 0 {
		share := renewAt + renewSpread*(2*r.options.Random()-1)
		return max(time.Duration(share*float64(remaining)), shortest)
	}
	pause := backoff(failures, r.options.Random())
	if remaining > 0 {
		pause = max(min(pause, remaining/3), firstBackoff)
	}
	return pause
}

// backoff doubles from 0.5 s to 150 s and draws the upper half at random, so that a fleet does not return at once.
func backoff(failures int, random float64) time.Duration {
	pause := firstBackoff
	for i := 1; i < failures && pause < longBackoff; i++ {
		pause *= 2
	}
	pause = min(pause, longBackoff)
	return max(firstBackoff, pause/2+time.Duration(random*float64(pause/2)))
}
