package sidecar

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/listen"
	"crossroads/proxies/telemetry"
	"crossroads/proxies/wire"
)

// opaque carries connections whose bytes nobody here understands: the stages admit one, a dial finds the other end, and bytes go
// both ways until both have ended. What one side has finished saying is passed on as such (half-close), because some protocols say
// "that was all" in no other way.
type opaque struct {
	metrics   *telemetry.Opaque
	rejected  func(reason string)
	direction string
	stages    []exchange.ConnStage
	standing  *standing // nil: nobody judges a connection again
}

// journey is one connection to be carried.
type journey struct {
	exchange.Conn
	source, destination string // of its metrics
	idle                time.Duration
	dial                func() (net.Conn, error)
}

// carry serves one connection to its end.
func (o *opaque) carry(down net.Conn, j *journey) {
	edge := o.metrics.Edge(o.direction, j.source, j.destination)
	edge.Open.Inc()
	defer edge.Open.Dec()
	admitted, err := o.admit(&j.Conn)
	defer func() {
		for i := admitted - 1; i >= 0; i-- {
			o.stages[i].Finish(&j.Conn, exchange.TunnelClosed)
		}
	}()
	var up net.Conn
	if err == nil {
		up, err = j.dial()
	}
	if err != nil {
		reason := reasonOf(err)
		edge.Ended(reason)
		o.rejected(reason)
		refuse(down)
		return
	}
	defer up.Close()
	p := newPipe(down, up, j.idle)
	if o.standing != nil {
		defer o.standing.enter(j, p)()
	}
	go func() {
		p.copy(down, up, func(n int) { j.Sent += int64(n); edge.Sent.Add(float64(n)) })
		close(p.answered)
	}()
	p.copy(up, down, func(n int) { j.Received += int64(n); edge.Received.Add(float64(n)) })
	<-p.answered
	p.stop()
	edge.Ended(p.how())
}

func (o *opaque) admit(c *exchange.Conn) (passed int, err error) {
	for i, s := range o.stages {
		if err := s.Admit(c); err != nil {
			return i, err
		}
	}
	return len(o.stages), nil
}

func reasonOf(err error) string {
	var fault *exchange.Fault
	if errors.As(err, &fault) {
		return fault.Reason
	}
	return exchange.UpstreamConnect.Reason
}

// refuse ends a connection so that the other side sees an error and not an empty answer: with a reset, below TLS too.
func refuse(c net.Conn) {
	defer c.Close()
	socket := wire.Lowest(c)
	if t, ok := socket.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = socket.Close() // before TLS can say that all is well
}

// pipe joins two connections; silence both ways for the idle limit ends both.
type pipe struct {
	a, b     net.Conn
	idle     time.Duration
	timer    *time.Timer
	answered chan struct{}
	broken   atomic.Pointer[string] // why it ended, where that was not both sides' word
}

func newPipe(a, b net.Conn, idle time.Duration) *pipe {
	p := &pipe{a: a, b: b, idle: idle, answered: make(chan struct{})}
	if idle > 0 {
		p.timer = time.AfterFunc(idle, p.cut)
	}
	return p
}

// cut is the end by an error or by silence.
func (p *pipe) cut() { p.end("cut") }

// end ends both ways, visibly: what was carried may be half of something. It returns false where something else has ended them.
func (p *pipe) end(reason string) bool {
	if !p.broken.CompareAndSwap(nil, &reason) {
		return false
	}
	refuse(p.a)
	refuse(p.b)
	return true
}

// how it ended, as metrics say it.
func (p *pipe) how() string {
	if reason := p.broken.Load(); reason != nil {
		return *reason
	}
	return "ok"
}

func (p *pipe) stop() {
	if p.timer != nil {
		p.timer.Stop()
	}
}

// buffers of copies under way.
var buffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// copy moves bytes one way until an end, and passes the end on. An error ends both ways.
func (p *pipe) copy(to, from net.Conn, moved func(n int)) {
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	for {
		n, err := from.Read(*buffer)
		if n > 0 {
			if p.timer != nil {
				p.timer.Reset(p.idle)
			}
			if _, err := to.Write((*buffer)[:n]); err != nil {
				p.cut()
				return
			}
			moved(n)
		}
		if err != nil {
			half, can := to.(interface{ CloseWrite() error })
			if !errors.Is(err, io.EOF) || wire.Truncated(from) || !can || half.CloseWrite() != nil {
				p.cut()
			}
			return
		}
	}
}

// tcpServer serves listeners whose connections are handled one by one; its Shutdown is that of listen.Server.
type tcpServer struct {
	handle func(net.Conn)

	mu       sync.Mutex
	stopping bool
	open     map[net.Conn]struct{}
	at       map[net.Listener]struct{}
	running  sync.WaitGroup
}

func newTCPServer(handle func(net.Conn)) *tcpServer {
	return &tcpServer{handle: handle, open: map[net.Conn]struct{}{}, at: map[net.Listener]struct{}{}}
}

// Serve accepts until the listener fails or Shutdown.
func (s *tcpServer) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		_ = l.Close()
		return listen.ErrStopped
	}
	s.at[l] = struct{}{}
	s.mu.Unlock()
	defer l.Close()
	for {
		c, err := l.Accept()
		s.mu.Lock()
		stopping := s.stopping
		if err == nil && !stopping {
			s.open[c] = struct{}{}
			s.running.Add(1)
		}
		s.mu.Unlock()
		switch {
		case stopping:
			if err == nil {
				_ = c.Close()
			}
			return listen.ErrStopped
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil: // out of descriptors, above all: they come back
			time.Sleep(5 * time.Millisecond)
		default:
			go s.serve(c)
		}
	}
}

func (s *tcpServer) serve(c net.Conn) {
	defer func() {
		s.mu.Lock()
		delete(s.open, c)
		s.mu.Unlock()
		s.running.Done()
	}()
	s.handle(c)
}

// Shutdown stops accepting and waits for the connections; when ctx ends first, they are cut.
func (s *tcpServer) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	for l := range s.at {
		_ = l.Close()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	<-done
	return ctx.Err()
}
