package discovery

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/identity"
)

const testDomain = "mesh.test"

// plane is a control plane whose every line a test decides.
type plane struct {
	t         testing.TB
	authority *identity.Authority
	source    *identity.Source
	address   string
	server    *http.Server

	mu      sync.Mutex
	streams map[chan string]bool
	first   string
	status  int
}

func newPlane(t testing.TB) *plane {
	a, _, err := identity.OpenAuthority(spiffeid.RequireTrustDomainFromString(testDomain), config.CA{}, time.Hour, time.Now)
	require.NoError(t, err)
	s, err := identity.NewAuthoritySource(t.Context(), func() *identity.Authority { return a }, identity.ControlID(testDomain), identity.Options{})
	require.NoError(t, err)
	p := &plane{t: t, authority: a, source: s, streams: map[chan string]bool{}, status: http.StatusOK, address: "127.0.0.1:0"}
	p.first = p.snapshot(1, "10.0.0.1:80")
	p.start()
	t.Cleanup(func() { p.stop(); s.Close() })
	return p
}

func (p *plane) start() {
	var l net.Listener
	eventually(p.t, "the port is free", func() (free bool) { // another process may use it for a moment
		var err error
		l, err = net.Listen("tcp", p.address)
		return err == nil
	})
	p.address = l.Addr().String()
	p.server = &http.Server{Handler: http.HandlerFunc(p.stream), ErrorLog: log.New(io.Discard, "", 0)}
	go p.server.Serve(tls.NewListener(l, p.source.ServerConfig(identity.Strict)))
}

func (p *plane) stop() { p.server.Close() }

func (p *plane) stream(w http.ResponseWriter, r *http.Request) {
	lines := make(chan string, 16)
	p.mu.Lock()
	status, first := p.status, p.first
	p.streams[lines] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.streams, lines)
	}()
	w.WriteHeader(status)
	for line := first; ; {
		io.WriteString(w, line)
		w.(http.Flusher).Flush()
		select {
		case line = <-lines:
		case <-r.Context().Done():
			return
		}
		if line == "" {
			return
		}
	}
}

// send gives a line to every open stream; an empty one ends them.
func (p *plane) send(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := range maps.Keys(p.streams) {
		s <- line
	}
}

func (p *plane) greet(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.first = line
}

func (p *plane) snapshot(version uint64, address string) string {
	line, err := Encode(Message{Format: Format, Snapshot: &Snapshot{
		Version: version, Published: time.Now(), Bundle: string(p.authority.Bundle().PEM()),
		Services: map[string]Service{"db": {Protocol: "http", Endpoints: []config.Endpoint{
			{Address: address, Weight: 1, Identity: identity.ServiceID(testDomain, "shop", "db")}}}},
	}})
	require.NoError(p.t, err)
	return string(line)
}

// subscriber is a client whose snapshots arrive on a channel.
type subscriber struct {
	*Client
	applied chan Snapshot
	roots   atomic.Int64 // in force when the last snapshot was applied
}

func (p *plane) subscribe(o Options) *subscriber {
	s, err := identity.NewAuthoritySource(p.t.Context(), func() *identity.Authority { return p.authority }, identity.ServiceID(testDomain, "shop", "web"), identity.Options{})
	require.NoError(p.t, err)
	sub := &subscriber{applied: make(chan Snapshot, 64)}
	sub.Client = New(config.ControlAddress{Address: p.address}, s, func(got Snapshot) {
		sub.roots.Store(int64(len(s.Bundle().Roots())))
		sub.applied <- got
	}, o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sub.Run(ctx) }()
	p.t.Cleanup(func() {
		cancel()
		require.ErrorIs(p.t, <-done, context.Canceled)
		s.Close()
	})
	return sub
}

func (s *subscriber) next(t testing.TB) Snapshot {
	t.Helper()
	select {
	case got := <-s.applied:
		return got
	case <-time.After(30 * time.Second):
		t.Fatalf("no snapshot came: %+v", s.Status())
		return Snapshot{}
	}
}

func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, 2*time.Millisecond, what)
}

func TestSnapshotsArriveInOrder(t *testing.T) {
	p := newPlane(t)
	s := p.subscribe(Options{})
	require.NoError(t, s.Wait(t.Context()))
	require.EqualValues(t, 1, s.next(t).Version)
	for v := uint64(2); v < 6; v++ {
		p.send(p.snapshot(v, "10.0.0.2:80"))
		got := s.next(t)
		require.Equal(t, v, got.Version)
		require.Equal(t, "10.0.0.2:80", got.Services["db"].Endpoints[0].Address)
	}
	eventually(t, "status follows", func() bool { return s.Status().Version == 5 })
	status := s.Status()
	require.True(t, status.Connected)
	require.True(t, s.Ready())
	require.EqualValues(t, 5, status.Snapshots)
	require.EqualValues(t, 1, status.Connections)
	require.Empty(t, status.LastError)
	require.Positive(t, status.Propagation)
	require.Positive(t, status.Age(time.Now()))
	require.Zero(t, Status{}.Age(time.Now()))
}

// TestOutage: while the control plane is away nothing is applied and nothing is lost, and the first message of the next connection
// replaces what was there, whatever its version.
func TestOutage(t *testing.T) {
	p := newPlane(t)
	s := p.subscribe(Options{})
	require.EqualValues(t, 1, s.next(t).Version)
	p.stop()
	eventually(t, "the loss is noticed", func() bool { return !s.Status().Connected && s.Status().LastError != "" })
	require.True(t, s.Ready(), "what is in force stays in force")
	require.Empty(t, s.applied)
	p.greet(p.snapshot(9, "10.0.0.9:80"))
	p.start()
	require.EqualValues(t, 9, s.next(t).Version)
	eventually(t, "all is well again", func() bool { return s.Status().Connected && s.Status().LastError == "" })
	require.GreaterOrEqual(t, s.Status().Connections, uint64(2))
}

// TestNotUnderstood: a message of a newer control plane changes nothing, and the connection goes on.
func TestNotUnderstood(t *testing.T) {
	p := newPlane(t)
	s := p.subscribe(Options{})
	require.EqualValues(t, 1, s.next(t).Version)
	newer := strings.Replace(p.snapshot(2, "10.0.0.2:80"), `"services"`, `"policies":[{"deny":"all"}],"services"`, 1)
	p.send(newer)
	eventually(t, "it is reported", func() bool { return s.Status().Refused == 1 })
	require.Contains(t, s.Status().LastError, "policies")
	require.EqualValues(t, 1, s.Status().Version)
	require.Empty(t, s.applied)
	p.send(p.snapshot(3, "10.0.0.3:80"))
	require.EqualValues(t, 3, s.next(t).Version)
	require.EqualValues(t, 1, s.Status().Connections)
}

func TestBrokenStreams(t *testing.T) {
	for name, line := range map[string]string{
		"no JSON":              "hello\n",
		"a heartbeat first":    fmt.Sprintf("{\"format\":%d}\n", Format),
		"an end before a line": "",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlane(t)
			good := p.first
			p.greet(line)
			s := p.subscribe(Options{})
			if line == "" {
				eventually(t, "a stream is open", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.streams) > 0 })
				p.send("")
			}
			eventually(t, "the connection is given up", func() bool { return s.Status().LastError != "" })
			require.False(t, s.Ready())
			p.greet(good)
			p.send("")
			require.EqualValues(t, 1, s.next(t).Version)
		})
	}
}

func TestCutLine(t *testing.T) {
	p := newPlane(t)
	s := p.subscribe(Options{})
	require.EqualValues(t, 1, s.next(t).Version)
	half := p.snapshot(2, "10.0.0.2:80")
	p.send(half[:len(half)/2])
	p.greet(p.snapshot(3, "10.0.0.3:80"))
	time.Sleep(5 * time.Millisecond)
	p.send("")
	require.EqualValues(t, 3, s.next(t).Version, "half a snapshot is none")
}

func TestSilenceEndsConnection(t *testing.T) {
	p := newPlane(t)
	s := p.subscribe(Options{Silence: 50 * time.Millisecond})
	require.EqualValues(t, 1, s.next(t).Version)
	p.greet(p.snapshot(2, "10.0.0.2:80"))
	require.EqualValues(t, 2, s.next(t).Version)
}

func TestStatusOfHTTPIsChecked(t *testing.T) {
	p := newPlane(t)
	p.status = http.StatusForbidden
	s := p.subscribe(Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.ErrorContains(t, s.Wait(ctx), "status 403")
}

// TestOnlyTheControlPlaneIsHeard: another service of the mesh at the address cannot tell us where services are.
func TestOnlyTheControlPlaneIsHeard(t *testing.T) {
	p := newPlane(t)
	impostor, err := identity.NewAuthoritySource(t.Context(), func() *identity.Authority { return p.authority }, identity.ServiceID(testDomain, "shop", "db"), identity.Options{})
	require.NoError(t, err)
	defer impostor.Close()
	p.stop()
	genuine := p.source
	p.source, p.address = impostor, "127.0.0.1:0"
	p.start()
	p.source = genuine
	s := p.subscribe(Options{})
	eventually(t, "it is refused", func() bool { return strings.Contains(s.Status().LastError, string(identity.WrongIdentity)) })
	require.False(t, s.Ready())
}

// TestRootsTravelWithSnapshots: the roots of a snapshot are in force before its endpoints are.
func TestRootsTravelWithSnapshots(t *testing.T) {
	p := newPlane(t)
	other, _, err := identity.OpenAuthority(spiffeid.RequireTrustDomainFromString(testDomain), config.CA{}, time.Hour, time.Now)
	require.NoError(t, err)
	s := p.subscribe(Options{})
	s.next(t)
	old := p.authority.Bundle().PEM()
	both := strings.ReplaceAll(string(old)+string(other.Bundle().PEM()), "\n", `\n`)
	p.send(strings.Replace(p.snapshot(2, "10.0.0.2:80"), strings.ReplaceAll(string(old), "\n", `\n`), both, 1))
	s.next(t)
	require.EqualValues(t, 2, s.roots.Load())
}

func TestDecode(t *testing.T) {
	good := `{"format":1,"snapshot":{"version":7,"published":"2026-01-02T03:04:05Z","bundle":"x","services":{"db":{"protocol":"http","endpoints":[{"address":"10.0.0.1:80","weight":2,"identity":"spiffe://mesh.test/ns/a/sa/db"}]}}}}`
	m, err := Decode([]byte(good))
	require.NoError(t, err)
	require.EqualValues(t, 7, m.Snapshot.Version)
	require.Equal(t, 2, m.Snapshot.Services["db"].Endpoints[0].Weight)
	m, err = Decode([]byte(`{"format":1}`))
	require.NoError(t, err)
	require.Nil(t, m.Snapshot)
	for name, c := range map[string]struct {
		old, new      string
		notUnderstood bool
	}{
		"no JSON":              {good, "hello", false},
		"two values":           {good, `{"format":1}{"format":1}`, false},
		"another format":       {`"format":1`, `"format":2`, true},
		"no format":            {`"format":1,`, ``, true},
		"a list":               {good, `[1]`, true},
		"a field of tomorrow":  {`"weight":2`, `"zone":"b"`, true},
		"no version":           {`"version":7`, `"version":0`, true},
		"a negative version":   {`"version":7`, `"version":-1`, true},
		"no bundle":            {`"bundle":"x"`, `"bundle":""`, true},
		"another protocol":     {`"http"`, `"quic"`, true},
		"no address":           {`10.0.0.1:80`, ``, true},
		"a negative weight":    {`"weight":2`, `"weight":-2`, true},
		"an identity of sorts": {`spiffe://`, `https://`, true},
		"a nameless service":   {`"db":`, `"":`, true},
	} {
		_, err := Decode([]byte(strings.Replace(good, c.old, c.new, 1)))
		require.Error(t, err, name)
		require.Equal(t, c.notUnderstood, errors.Is(err, ErrNotUnderstood), "%s: %v", name, err)
	}
}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", 100)
	r := bufio.NewReaderSize(strings.NewReader("a\n"+long+"\nrest"), 16)
	for _, want := range []string{"a\n", long + "\n"} {
		line, err := readLine(r, 200)
		require.NoError(t, err)
		require.Equal(t, want, string(line))
	}
	_, err := readLine(r, 200)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	_, err = readLine(r, 200)
	require.ErrorIs(t, err, io.EOF)
	_, err = readLine(bufio.NewReaderSize(strings.NewReader(long), 16), 50)
	require.ErrorContains(t, err, "longer than 50 bytes")
}

func TestPause(t *testing.T) {
	for _, random := range []float64{0, 0.5, 0.999} {
		c := &Client{options: Options{Random: func() float64 { return random }}}
		for failures, longest := range []time.Duration{1: firstPause, 2: 2 * firstPause, 3: 4 * firstPause, 8: longPause, 100: longPause} {
			if longest > 0 {
				require.GreaterOrEqual(t, c.pause(failures), longest/2)
				require.LessOrEqual(t, c.pause(failures), longest)
			}
		}
	}
}

// FuzzDecode proves that no line crashes the reader, and that what it accepts can be written and read again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte(`{"format":1,"snapshot":{"version":7,"published":"2026-01-02T03:04:05Z","bundle":"x","services":{"db":{"protocol":"http","endpoints":[{"address":"10.0.0.1:80","weight":2}]}}}}`))
	f.Add([]byte(`{"format":1,"snapshot":{"version":18446744073709551615,"bundle":"x","services":null}}`))
	f.Add([]byte(`{"format":1,"snapshot":null} `))
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := Decode(line)
		if err != nil {
			return
		}
		text, err := Encode(m)
		require.NoError(t, err)
		again, err := Decode(text)
		require.NoError(t, err)
		once, err := Encode(again)
		require.NoError(t, err)
		require.Equal(t, string(text), string(once))
	})
}
