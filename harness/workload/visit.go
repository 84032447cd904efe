package workload

import (
	"bytes"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// visit is one request at this node: what it carries on to the calls, and what became of them. Its bytes belong to the request and
// are valid until handle returns; so are the goroutines that use them.
type visit struct {
	node    *Node
	hash    uint64
	seq     []byte
	path    []byte
	probe   []byte
	trace   []byte
	id      []byte
	ledger  []byte
	told    []byte        // Server-Timing of the calls so far
	began   time.Duration // since epoch: the request had come in, where a ledger is kept
	called  time.Duration // waiting for calls, one after the other
	number  [20]byte      // room for a sequence number made here
	all     bool          // every call is made and nothing fails as declared
	results []result      // of the calls of the step in progress
	probed  []ProbedCall
	pending sync.WaitGroup
}

// result is what became of one call.
type result struct {
	failed   string // "" when it did not fail
	declared bool   // it failed as the experiment declares
	probe    *Probe
	told     []byte        // Server-Timing of the answer, where a ledger is kept
	waited   time.Duration // in system calls, likewise
}

var visits = sync.Pool{New: func() any { return new(visit) }}

// badVisit is a request that carries fields nobody can act on.
type badVisit string

func (n *Node) read(h *fasthttp.RequestHeader) (*visit, badVisit) {
	v := visits.Get().(*visit)
	*v = visit{node: n, results: v.results[:0]}
	v.seq, v.path, v.probe = h.Peek(HeaderSeq), h.Peek(HeaderPath), h.Peek(HeaderProbe)
	v.trace, v.id, v.ledger = h.Peek("Traceparent"), h.Peek("X-Request-Id"), h.Peek(HeaderLedger)
	v.all = string(v.probe) == "all"
	if len(v.seq) == 0 {
		v.seq = strconv.AppendUint(v.number[:0], n.unnamed.Add(1), 10)
	}
	seq, ok := number(v.seq)
	if !ok {
		return v, badVisit(HeaderSeq + " is not a number")
	}
	attempt := uint64(1)
	if a := h.Peek(HeaderAttempt); len(a) > 0 {
		if attempt, ok = number(a); !ok {
			return v, badVisit(HeaderAttempt + " is not a number")
		}
	}
	v.hash = visitHash(n.origin, v.path, seq, attempt)
	return v, ""
}

func (v *visit) release() {
	v.node, v.probed = nil, nil
	clear(v.results)
	visits.Put(v)
}

// number reads an unsigned decimal without making a string of it.
func number(text []byte) (n uint64, ok bool) {
	if len(text) == 0 || len(text) > 19 { // 19 digits always fit in 64 bits
		return 0, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// hops counts the Via entries: each proxy on the way adds one (RFC 9110 7.6.3).
func hops(h *fasthttp.RequestHeader) int {
	n := 0
	for _, line := range h.PeekAll("Via") {
		for entry := range bytes.SplitSeq(line, []byte(",")) {
			if len(bytes.TrimSpace(entry)) > 0 {
				n++
			}
		}
	}
	return n
}
