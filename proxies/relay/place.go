package relay

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/listen"
)

// place is one listener and the way from there.
type place struct {
	config.RelayPlace
	listener net.Listener
	accepted atomic.Int64 // connections
	carried  atomic.Int64 // requests taken to an endpoint: the one thing that is counted as they pass
	next     atomic.Uint64
	busy     time.Duration // with every message, before it goes on
	pools    []pool        // by endpoint

	mu     sync.Mutex
	open   map[net.Conn]struct{} // downstream
	closed bool
}

// pool keeps the idle connections to one endpoint; the one used last is taken first.
type pool struct {
	mu   sync.Mutex
	idle []*side
}

// Counts is what a place has carried.
type Counts struct {
	Name     string   `json:"name"`
	Address  string   `json:"address"`
	To       []string `json:"to"`
	Accepted int64    `json:"accepted"` // connections
	Carried  int64    `json:"carried"`  // requests taken to an endpoint
}

func openPlace(c config.RelayPlace, busy time.Duration) (*place, error) {
	l, err := listen.Listen(c.Address)
	if err != nil {
		return nil, err
	}
	return &place{RelayPlace: c, listener: l, busy: busy, pools: make([]pool, len(c.To)), open: map[net.Conn]struct{}{}}, nil
}

func (p *place) counts() Counts {
	return Counts{Name: p.Name, Address: p.Address, To: p.To, Accepted: p.accepted.Load(), Carried: p.carried.Load()}
}

// serve accepts until the listener fails or is closed.
func (p *place) serve() error {
	for {
		c, err := p.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil: // out of descriptors, above all: they come back
			time.Sleep(5 * time.Millisecond)
		case p.note(c):
			p.accepted.Add(1)
			go p.carry(&side{Conn: c})
		}
	}
}

// note keeps a connection to be closed with the place; false: that has happened.
func (p *place) note(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.open[c] = struct{}{}
	return true
}

// close ends the listener and every connection: whoever relays nothing but bytes has nothing to finish.
func (p *place) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	for i := range p.pools {
		for s := p.pools[i].take(); s != nil; s = p.pools[i].take() {
			_ = s.Close()
		}
	}
}

// carry serves one downstream connection: message in, message out, until either side has had enough.
func (p *place) carry(down *side) {
	defer func() {
		p.mu.Lock()
		delete(p.open, down.Conn)
		p.mu.Unlock()
		_ = down.Close()
	}()
	for p.exchange(down) == nil {
	}
}

var errLast = errors.New("the connection carries no further message")

// exchange takes one request to an endpoint and its response back.
func (p *place) exchange(down *side) error {
	head, err := down.head()
	if err != nil {
		return err
	}
	var f framing
	if err := f.read(head, false, false); err != nil {
		return err
	}
	headless, last := len(head) > 5 && string(head[:5]) == "HEAD ", f.close
	i := int(p.next.Add(1) % uint64(len(p.To)))
	up := p.pools[i].take()
	if up == nil {
		if up, err = dial(p.To[i]); err != nil {
			return err
		}
	}
	spend(p.busy)
	if err := down.pass(len(head), &f, up); err != nil {
		_ = up.Close()
		return err
	}
	p.carried.Add(1) // before the answer can be seen: who has it finds the request counted
	if err := p.answer(up, down, headless, &f); err != nil {
		_ = up.Close()
		return err
	}
	if last || f.close || up.r != up.w {
		_ = up.Close()
		return errLast
	}
	p.pools[i].put(up)
	return nil
}

// answer carries the responses to one request: interim ones, and the final one.
func (p *place) answer(up, down *side, headless bool, f *framing) error {
	for {
		head, err := up.head()
		if err != nil {
			return err
		}
		if err := f.read(head, true, headless); err != nil {
			return err
		}
		if f.final {
			spend(p.busy)
		}
		if err := up.pass(len(head), f, down); err != nil || f.final {
			return err
		}
	}
}

// spend keeps the processor for a while.
func spend(d time.Duration) {
	if d <= 0 {
		return
	}
	for since := time.Now(); time.Since(since) < d; {
	}
}

func (o *pool) take() *side {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.idle)
	if n == 0 {
		return nil
	}
	s := o.idle[n-1]
	o.idle = o.idle[:n-1]
	return s
}

func (o *pool) put(s *side) {
	o.mu.Lock()
	o.idle = append(o.idle, s)
	o.mu.Unlock()
}
