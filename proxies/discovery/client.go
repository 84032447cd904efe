package discovery

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"

	"crossroads/proxies/config"
	"crossroads/proxies/identity"
)

// Pauses between connections: they double from the first to the longest, and the upper half of each is drawn at random, so that a
// fleet does not return to a restarted control plane in one moment.
const (
	firstPause = 100 * time.Millisecond
	longPause  = 10 * time.Second
)

// Options are what a Client needs besides its address. The zero value is ready to use.
type Options struct {
	Silence time.Duration    // after which a connection counts as dead; 0: three heartbeats
	Now     func() time.Time // nil: time.Now
	Random  func() float64   // uniform over [0, 1); nil: math/rand/v2
	Log     *slog.Logger     // nil: silent
	// Holds says whether a snapshot that came at a time may not come into force yet, on purpose; fresh, that it is asked for the first
	// time. nil: none is kept back.
	Holds func(came time.Time, fresh bool) bool
}

// Client keeps a proxy's snapshot up to date. It keeps what it has until, and only until, the first message of a new connection.
type Client struct {
	address string
	source  *identity.Source
	apply   func(Snapshot)
	options Options
	first   chan struct{} // closed with the first snapshot

	taking sync.Mutex // of putting a snapshot into force
	roots  string     // PEM, as last put into force
	held   *held      // kept back on purpose, the newest; nil: none

	mu     sync.Mutex
	status Status
}

// Status is what metrics and the admin page show of a Client.
type Status struct {
	Connected   bool
	Version     uint64        // in force; 0: none yet
	Published   time.Time     // of that version, by the control plane's clock
	Applied     time.Time     // when it came into force here
	Heard       time.Time     // last line of any kind
	Propagation time.Duration // published to applied, of the last change that arrived on a standing connection; clocks may differ
	Snapshots   uint64        // applied
	Refused     uint64        // not understood and not applied
	Connections uint64        // made so far
	LastError   string        // why the last connection ended or the last snapshot was refused; "" while all is well
}

// Age is how old the version in force is; 0 where there is none.
func (s Status) Age(now time.Time) time.Duration {
	if s.Version == 0 {
		return 0
	}
	return max(now.Sub(s.Published), 0)
}

// New makes a client. Apply is called with each snapshot, by one goroutine, one after the other; it must put the snapshot into force
// as a whole before it returns.
func New(address config.ControlAddress, source *identity.Source, apply func(Snapshot), o Options) *Client {
	if o.Silence <= 0 {
		o.Silence = 3 * Heartbeat
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{address: address.Address, source: source, apply: apply, options: o, first: make(chan struct{})}
}

// Status returns the state of the client.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.status
}

// Ready says whether a snapshot is in force.
func (c *Client) Ready() bool { return c.Status().Version != 0 }

// Wait blocks until the first snapshot is in force. Its error says what the last connection failed on.
func (c *Client) Wait(ctx context.Context) error {
	select {
	case <-c.first:
		return nil
	case <-ctx.Done():
		if text := c.Status().LastError; text != "" {
			return fmt.Errorf("waiting for a snapshot: %s", text)
		}
		return fmt.Errorf("waiting for a snapshot: %w", context.Cause(ctx))
	}
}

// Run connects and connects again until ctx ends. The error is that of ctx.
func (c *Client) Run(ctx context.Context) error {
	failures := 0
	for ctx.Err() == nil {
		heard, err := c.connect(ctx)
		c.disconnected(err)
		if ctx.Err() != nil {
			break
		}
		if r := identity.ReasonOf(err); r == identity.RefusedByPeer || r == identity.Untrusted {
			// The roots may have been replaced while we were away. Another SVID is signed by what is accepted now, and the roots come
			// with it.
			c.source.Renew()
		}
		if heard {
			failures = 0
		}
		failures++
		pause := c.pause(failures)
		c.options.Log.Warn("no connection to the control plane", "address", c.address, "error", err, "again_in", pause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return ctx.Err()
}

func (c *Client) pause(failures int) time.Duration {
	pause := firstPause
	for i := 1; i < failures && pause < longPause; i++ {
		pause *= 2
	}
	pause = min(pause, longPause)
	return pause/2 + time.Duration(c.options.Random()*float64(pause/2))
}

// connect holds one connection until it ends. It reports whether a message came.
func (c *Client) connect(ctx context.Context) (heard bool, err error) {
	if err := c.source.Wait(ctx); err != nil {
		return false, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The watchdog ends a connection whose other side is gone without a word.
	dead := time.AfterFunc(c.options.Silence, func() {
		cancel(fmt.Errorf("nothing heard for %s", c.options.Silence))
	})
	defer dead.Stop()
	transport := &http.Transport{TLSClientConfig: c.tls(), DisableKeepAlives: true, DisableCompression: true}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.address+Path, nil)
	if err != nil {
		return false, fmt.Errorf("asking the control plane at %s: %w", c.address, err)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		return false, c.cause(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return false, fmt.Errorf("the control plane at %s answered with status %d", c.address, response.StatusCode)
	}
	c.connected()
	heard, err = c.read(response.Body, func() { dead.Reset(c.options.Silence) })
	return heard, c.cause(ctx, err)
}

// cause prefers why the connection was given up to the cancellation that followed.
func (c *Client) cause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("the stream of the control plane at %s ended: %w", c.address, err)
}

func (c *Client) tls() *tls.Config {
	return c.source.ClientConfig(identity.ControlID(c.source.TrustDomain()))
}

// read applies snapshots until the stream ends. A message that is not understood is reported and left out; a line that is none ends
// the connection.
func (c *Client) read(stream io.Reader, alive func()) (heard bool, err error) {
	lines := bufio.NewReaderSize(stream, 64<<10)
	for {
		line, err := readLine(lines, MaxMessage)
		if err != nil {
			return heard, err
		}
		alive()
		m, err := Decode(line)
		switch {
		case errors.Is(err, ErrNotUnderstood):
			c.refused(err)
		case err != nil:
			return heard, err
		case m.Snapshot == nil && !heard:
			return heard, errors.New("the first message holds no snapshot")
		default:
			if err := c.receive(m.Snapshot, heard); err != nil {
				c.refused(err)
			}
		}
		heard = true
	}
}

// readLine reads up to a line's end, of at most limit bytes. A last line without one is a line cut short.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, fmt.Errorf("a discovery message longer than %d bytes", limit)
		}
		switch {
		case err == nil && line == nil:
			return part, nil // valid until the next read, which comes after it was decoded
		case err == nil:
			return append(line, part...), nil
		case err == bufio.ErrBufferFull:
			line = append(line, part...)
		case err == io.EOF && len(line)+len(part) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// take puts a snapshot into force: the roots first, because its endpoints may be proved by new ones. Standing says that the message
// was sent because something changed, not because a connection was made.
func (c *Client) take(s *Snapshot, standing bool) error {
	now := c.options.Now()
	if s == nil {
		c.mu.Lock()
		c.status.Heard = now
		c.mu.Unlock()
		return nil
	}
	if err := c.takeRoots(s.Bundle, standing); err != nil {
		return fmt.Errorf("snapshot %d: %w", s.Version, err)
	}
	c.apply(*s)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Version == 0 {
		close(c.first)
	}
	applied := c.options.Now()
	if standing {
		c.status.Propagation = max(applied.Sub(s.Published), 0)
	}
	c.status.Version, c.status.Published, c.status.Applied, c.status.Heard = s.Version, s.Published, applied, now
	c.status.Snapshots++
	c.status.LastError = ""
	return nil
}

// takeRoots puts the roots into force. Most changes are not of the roots: those of the connection's last snapshot are not read again.
func (c *Client) takeRoots(pem string, standing bool) error {
	if standing && pem == c.roots {
		return nil
	}
	domain, err := spiffeid.TrustDomainFromString(c.source.TrustDomain())
	if err != nil {
		return fmt.Errorf("the trust domain: %w", err)
	}
	bundle, err := identity.ParseBundle(domain, []byte(pem))
	if err != nil {
		return err
	}
	c.source.SetBundle(bundle)
	c.roots = pem
	return nil
}

func (c *Client) connected() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Connected = true
	c.status.Connections++
}

func (c *Client) disconnected(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status.Connected = false
	if err != nil {
		c.status.LastError = err.Error()
	}
}

func (c *Client) refused(err error) {
	c.mu.Lock()
	c.status.Refused++
	c.status.LastError = err.Error()
	c.mu.Unlock()
	c.options.Log.Error("a snapshot of the control plane was not applied; the one in force stays", "error", err)
}
