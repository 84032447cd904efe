package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
)

// Origin answers whatever the proxy under test forwards, and keeps it byte for byte. It plays the response of a case where one is
// set, and answers every other request with its number and target, or cleanly.
type Origin struct {
	Address string
	l       net.Listener
	wg      sync.WaitGroup

	mu      sync.Mutex
	conns   map[net.Conn]struct{}
	seen    []Forwarded
	garbage string
	play    *play
}

// cleanPath begins the targets of clean requests, which are answered with themselves and are not part of any case.
const cleanPath = "/clean-"

// NewOrigin listens at address; port 0 takes a free one.
func NewOrigin(address string) (*Origin, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the proxy under test: %w", err)
	}
	o := &Origin{Address: l.Addr().String(), l: l, conns: map[net.Conn]struct{}{}}
	o.wg.Go(o.accept)
	return o, nil
}

func (o *Origin) accept() {
	for {
		c, err := o.l.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		o.conns[c] = struct{}{}
		o.mu.Unlock()
		o.wg.Go(func() {
			o.serve(c)
			_ = c.Close()
			o.mu.Lock()
			delete(o.conns, c)
			o.mu.Unlock()
		})
	}
}

// Close ends every connection and waits for their ends.
func (o *Origin) Close() {
	_ = o.l.Close()
	o.hangUp()
	o.wg.Wait()
}

// hangUp closes the connections that the proxy may keep for later.
func (o *Origin) hangUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		_ = c.Close()
	}
}

// begin forgets what was seen and sets the response to play, if there is one.
func (o *Origin) begin(p *play) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen, o.garbage, o.play = nil, "", p
}

// Take returns the requests seen since the case began, clean ones left out.
func (o *Origin) Take() []Forwarded {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.seen)
}

func (o *Origin) broken() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.garbage
}

// serve reads requests from one connection of the proxy and answers them.
func (o *Origin) serve(c net.Conn) {
	in := bufio.NewReader(c)
	var behind *play // the case that was played on this connection
	for {
		f, err := readHead(in)
		if err != nil {
			return
		}
		if behind != nil {
			behind.reused.Store(true)
		}
		clean := strings.HasPrefix(f.Target(), cleanPath)
		if p := o.due(); p != nil && !clean && p.taken.CompareAndSwap(false, true) {
			if behind = p; p.run(c) {
				_, _ = io.Copy(io.Discard, in) // a reset for unread bytes would overtake the case
				return
			}
			continue
		}
		if f.Body, err = readBody(in, f); err != nil {
			o.note(err, f)
			return
		}
		answer := o.record(f, clean)
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

func (o *Origin) due() *play {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.play
}

// note keeps framing that cannot be read; a body that was cut short is none.
func (o *Origin) note(err error, f Forwarded) {
	if errors.Is(err, errFraming) {
		o.mu.Lock()
		o.garbage = fmt.Sprintf("%v behind %q", err, f.Head)
		o.mu.Unlock()
	}
}

// record keeps a request and returns the answer to it.
func (o *Origin) record(f Forwarded, clean bool) string {
	body := f.Target()
	if !clean {
		o.mu.Lock()
		o.seen = append(o.seen, f)
		body = fmt.Sprintf("%d %s", len(o.seen), f.Target())
		o.mu.Unlock()
	}
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
	if f.Method() == "HEAD" {
		return head
	}
	return head + body
}
