package workload

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"crossroads/topologies"
)

// peer is where calls to one service go: every replica in turn, or the one outbound sidecar.
type peer struct {
	clients []*fasthttp.HostClient
	next    atomic.Uint64
}

// peer returns the connections to a service, made once for all calls to it.
func (n *Node) peer(c Config, service string) (*peer, error) {
	if p, known := n.peers[service]; known {
		return p, nil
	}
	addresses := c.Peers[service]
	if len(addresses) == 0 {
		return nil, fmt.Errorf("service %s calls %s, but no address of %s is given", n.service, service, service)
	}
	p := &peer{}
	for _, address := range addresses {
		client, err := newClient(address, c.Experiment.Load.Timeout.D())
		if err != nil {
			return nil, fmt.Errorf("address of %s: %w", service, err)
		}
		p.clients = append(p.clients, client)
	}
	n.peers[service] = p
	return p, nil
}

// newClient keeps as many idle connections as there ever were busy ones: opening them is not what is measured. It never tries again
// by itself (fasthttp would, five times): what a proxy retries must be the proxy's.
func newClient(address string, timeout time.Duration) (*fasthttp.HostClient, error) {
	network, target := "tcp", strings.TrimPrefix(address, "http://")
	if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
		network, target = "unix", path
	} else if _, _, err := net.SplitHostPort(target); err != nil {
		return nil, fmt.Errorf("%q is not host:port or unix:/path: %w", address, err)
	}
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	return &fasthttp.HostClient{
		Addr:                      target,
		Dial:                      func(addr string) (net.Conn, error) { return dial(network, addr, timeout) },
		MaxConns:                  topologies.MaxConnections,
		MaxIdleConnDuration:       idleConnection,
		MaxIdemponentCallAttempts: 1,
		ReadTimeout:               timeout,
		WriteTimeout:              timeout,
		MaxResponseBodySize:       4 * topologies.MaxBody, // a probe's answer nests those of all callees
		NoDefaultUserAgentHeader:  true,
		DisablePathNormalizing:    true,
	}, nil
}

func (p *peer) close() {
	for _, c := range p.clients {
		c.CloseIdleConnections()
	}
}

func (p *peer) pick() *fasthttp.HostClient {
	if len(p.clients) == 1 {
		return p.clients[0]
	}
	return p.clients[p.next.Add(1)%uint64(len(p.clients))]
}

// do makes the call and reads its answer whole.
func (c *call) do(v *visit) result {
	q, s := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(q)
	defer fasthttp.ReleaseResponse(s)
	q.SetRequestURI(c.uri)
	h := &q.Header
	h.SetBytesV(HeaderSeq, v.seq)
	var path [128]byte
	h.SetBytesV(HeaderPath, append(append(path[:0], v.path...), c.suffix...))
	if len(v.trace) > 0 {
		h.SetBytesV("Traceparent", v.trace)
	}
	if len(v.id) > 0 {
		h.SetBytesV("X-Request-Id", v.id)
	}
	if len(v.probe) > 0 {
		h.SetBytesV(HeaderProbe, v.probe)
	}
	if len(v.ledger) > 0 {
		h.SetBytesV(HeaderLedger, v.ledger)
	}
	if len(c.body) > 0 {
		h.SetMethod(fasthttp.MethodPost)
		q.SetBodyRaw(c.body)
	}
	err := c.peer.pick().Do(q, s)
	r := c.judge(v, s, err)
	c.counter.count(r)
	return r
}

// judge says whether an answer is what the callee was declared to give.
func (c *call) judge(v *visit, s *fasthttp.Response, err error) result {
	if err != nil {
		return result{failed: err.Error()}
	}
	r := result{}
	if len(v.ledger) > 0 {
		r.waited = waitedFor(s.LocalAddr())
		for _, line := range s.Header.PeekAll("Server-Timing") {
			r.told = append(append(r.told, line...), ", "...)
		}
	}
	if len(v.probe) > 0 {
		r.probe = &Probe{}
		if json.Unmarshal(s.Body(), r.probe) != nil {
			r.probe = &Probe{Text: string(s.Body())}
		}
	}
	switch {
	case s.StatusCode() != fasthttp.StatusOK:
		r.failed = "status " + strconv.Itoa(s.StatusCode())
		r.declared = len(s.Header.Peek(HeaderDeclared)) > 0
	case len(v.probe) == 0 && len(s.Body()) != c.expect:
		r.failed = fmt.Sprintf("%d bytes instead of the declared %d", len(s.Body()), c.expect)
	}
	return r
}
