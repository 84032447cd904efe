package gateway

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
	"crossroads/proxies/wire"
)

// composer answers a route with one JSON object that it composes of several upstreams' answers. It is a forwarder like any other:
// every stage in front of it has run, once, and each part goes through its upstream's own balancing, retries and limits.
type composer struct {
	route  string
	parts  []part
	metric *telemetry.Parts
}

// part is one request of a composition.
type part struct {
	name     string
	target   string
	query    bool
	timeout  time.Duration
	maxBody  int64
	optional bool
	to       exchange.Forwarder
	route    *exchange.Route // terms of the try loop
}

func newComposer(r config.Route, upstream func(name string) exchange.Forwarder, metric *telemetry.Parts, terms exchange.Route) *composer {
	c := &composer{route: r.Name, metric: metric}
	for name, p := range r.Compose.Parts.All() {
		t := terms
		t.Timeout, t.Idle, t.MaxBody = p.Timeout.D(), p.Timeout.D(), 0
		c.parts = append(c.parts, part{name: name, target: p.Path, query: p.Query, timeout: p.Timeout.D(), maxBody: int64(p.MaxBody),
			optional: p.Optional, to: upstream(p.Upstream), route: &t})
	}
	return c
}

var (
	composesGET = &exchange.Fault{Reason: "method_refused", Status: 405, Detail: "a composed answer can only be asked for with GET or HEAD"}
	tooLarge    = &exchange.Fault{Reason: "part_too_large", Status: 502}
	encoded     = &exchange.Fault{Reason: "part_encoded", Status: 502}
	cancelled   = &exchange.Fault{Reason: "part_cancelled", Status: 502}
)

// fetched is what became of one part.
type fetched struct {
	status int
	typ    string
	body   []byte
	fault  *exchange.Fault // nil: the body is whole
	took   time.Duration
	child  *exchange.Exchange
}

// Forward implements exchange.Forwarder: it fetches all parts at the same time and waits for all of them, but no longer than until
// the first that is required fails.
func (c *composer) Forward(x *exchange.Exchange) exchange.Step {
	if m := x.Request.Header.Method(); string(m) != "GET" && string(m) != "HEAD" {
		x.Fault = composesGET
		writeProblem(x, composesGET)
		x.Response.Header.Set("Allow", "GET, HEAD") // RFC 9110 15.5.6
		return exchange.Answered
	}
	found := make([]fetched, len(c.parts))
	for i := range found {
		found[i].child = c.child(x, &c.parts[i])
	}
	run := composition{composer: c, found: found}
	run.failed.Store(none)
	cancel := run.cancel
	x.Cancel.Waiting(&cancel)
	defer x.Cancel.Waiting(nil)
	last := len(found) - 1
	run.others.Add(last)
	for i := range last {
		go func() {
			defer run.others.Done()
			run.fetch(i)
		}()
	}
	run.fetch(last) // here: who waits anyway need not wake another for it
	run.others.Wait()
	c.settle(x, found)
	if failed := run.failed.Load(); failed != none {
		return x.Fail(partFault(c.parts[failed].name, found[failed].fault))
	}
	c.answer(x, found)
	return exchange.Continue
}

// composition is one request's parts under way.
type composition struct {
	*composer
	found  []fetched
	failed atomic.Int32 // the first required part that failed; none
	others sync.WaitGroup
}

const none = -1

// fetch fetches one part. The first that is required and fails ends the others' wait.
func (r *composition) fetch(i int) {
	r.parts[i].fetch(&r.found[i])
	if r.found[i].fault != nil && !r.parts[i].optional && r.failed.CompareAndSwap(none, int32(i)) {
		r.cancel()
	}
}

// cancel ends the wait for every part.
func (r *composition) cancel() {
	for i := range r.found {
		r.found[i].child.Cancel.Cancel()
	}
}

// settle counts the parts and gives back what fetching them took.
func (c *composer) settle(x *exchange.Exchange, found []fetched) {
	for i := range found {
		f := &found[i]
		x.Attempts += f.child.Attempts
		x.Upstream = max(x.Upstream, f.took)
		result := "ok"
		if f.fault != nil {
			result = f.fault.Reason
		}
		c.metric.Fetched(c.route, c.parts[i].name, result, f.took)
		f.child.Discard()
	}
}

// partFault is what the client is told of a required part: 504 where it came too late, else 502.
func partFault(name string, f *exchange.Fault) *exchange.Fault {
	status := 502
	if f.Status == 504 {
		status = 504
	}
	return &exchange.Fault{Reason: f.Reason, Status: status, Detail: "part " + name}
}

// child makes the request of a part. What the client said about its own request's representation does not hold for the part's.
func (c *composer) child(x *exchange.Exchange, p *part) *exchange.Exchange {
	child := x.Child()
	child.Route, child.Cancel = p.route, &exchange.Canceller{}
	child.Start = time.Now()
	child.Deadline = child.Start.Add(p.timeout)
	if !x.Deadline.IsZero() && x.Deadline.Before(child.Deadline) {
		child.Deadline = x.Deadline
	}
	h := &child.Request.Header
	x.Request.Header.CopyTo(h)
	for _, name := range []string{"Accept", "Accept-Encoding", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since",
		"If-Range", "Range", "Content-Type", "Content-Length", "Content-Encoding", "Te", "Upgrade", "Expect"} {
		h.Del(name)
	}
	h.SetMethod("GET")
	target := p.target
	if p.query {
		target = withQuery(target, x.Request.Header.RequestURI())
	}
	h.SetRequestURI(target)
	child.Path = h.RequestURI()
	return child
}

// fetch asks for a part and reads its body. A panic fails the part and nothing else.
func (p *part) fetch(f *fetched) {
	defer func() {
		if r := recover(); r != nil {
			f.fault = exchange.Panicked
		}
		if f.fault != nil && f.child.Cancel.Over() {
			f.fault = cancelled
		}
		f.child.Release()
		f.took = time.Since(f.child.Start)
	}()
	x := f.child
	if p.to.Forward(x) != exchange.Continue {
		if f.fault = x.Fault; f.fault == nil {
			f.fault = exchange.UpstreamInvalid
		}
		return
	}
	h := &x.Response.Header
	f.status, f.typ = h.StatusCode(), string(h.ContentType())
	switch {
	case f.status/100 != 2:
		f.fault = &exchange.Fault{Reason: "status_" + strconv.Itoa(f.status/100) + "xx", Status: 502}
	case len(h.ContentEncoding()) > 0:
		f.fault = encoded
	case x.ResponseBody != nil:
		f.body, f.fault = readPart(x.ResponseBody, p.maxBody)
	}
}

// readPart reads a body whole.
func readPart(b wire.Body, limit int64) ([]byte, *exchange.Fault) {
	if b.Length() > limit {
		return nil, tooLarge
	}
	size := b.Length() + 1 // the end is seen by a read that finds no more
	if size <= 0 {
		size = min(limit+1, 4<<10)
	}
	body := make([]byte, 0, size)
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		n, err := b.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case int64(len(body)) > limit:
			return nil, tooLarge
		case err == nil:
		case errors.Is(err, io.EOF):
			return body, nil
		case wire.TimedOut(err):
			return nil, exchange.UpstreamTimeout
		default:
			return nil, exchange.UpstreamReset
		}
	}
}

// answer sets the response: parts in the order of the file, and the failed optional ones in X-Failed-Parts. What a part said of its own
// answer, cookies and caching included, is not said of the whole; since a part may have forbidden to keep it, nobody may keep the whole
// (RFC 9111 4.2.2 lets a cache keep an answer that says nothing).
func (c *composer) answer(x *exchange.Exchange, found []fetched) {
	names, lost := make([]string, len(found)), ""
	for i := range found {
		names[i] = c.parts[i].name
		if f := found[i].fault; f != nil {
			if lost != "" {
				lost += ", "
			}
			lost += names[i] + ";reason=" + f.Reason
		}
	}
	x.Response.SetStatusCode(200)
	x.Response.Header.SetContentType("application/json")
	x.Response.Header.Set("Cache-Control", "no-store")
	if lost != "" {
		x.Response.Header.Set("X-Failed-Parts", lost)
	}
	if x.Ledger.On {
		for i := range found {
			x.Response.Header.Add("Server-Timing", fmt.Sprintf("part-%s;dur=%.4f", names[i], float64(found[i].took)/1e6))
		}
	}
	x.Response.SetBodyRaw(join(names, found))
}
