package workload

import (
	"fmt"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"crossroads/topologies"
)

// call is one call of the script, ready to be made.
type call struct {
	to      string
	uri     string // http://SERVICE/
	suffix  []byte // appended to the caller's path
	chance  float64
	draw    purpose
	body    []byte
	expect  int // bytes of the answer
	peer    *peer
	counter *callCount
}

// compile turns the declared script into calls over this node's peers.
func (n *Node) compile(c Config, script []topologies.Step) error {
	n.counts.calls = map[string]*callCount{}
	for i, step := range script {
		calls := make([]call, 0, len(step.Calls))
		for j, declared := range step.Calls {
			p, err := n.peer(c, declared.Call)
			if err != nil {
				return err
			}
			callee := c.Experiment.Application.Services.At(declared.Call)
			calls = append(calls, call{
				to:      declared.Call,
				uri:     "http://" + declared.Call + "/",
				suffix:  []byte("/" + strconv.Itoa(i) + "." + strconv.Itoa(j)),
				chance:  declared.Chance(),
				draw:    forCall + purpose(i*topologies.MaxSteps+j),
				body:    payload(int(declared.Request.Size)),
				expect:  int(callee.Response.Size),
				peer:    p,
				counter: n.counts.call(declared.Call),
			})
		}
		n.steps = append(n.steps, calls)
	}
	return nil
}

// handle answers one request.
func (n *Node) handle(ctx *fasthttp.RequestCtx) {
	switch string(ctx.Path()) {
	case "/healthz":
		n.healthz(ctx)
		return
	case "/metrics":
		n.counts.write(ctx, n.service, n.replica)
		return
	case FaultPath:
		n.takeFault(ctx)
		return
	}
	n.counts.inFlight.Add(1)
	defer n.counts.inFlight.Add(-1)
	v, bad := n.read(&ctx.Request.Header)
	defer v.release()
	h := &ctx.Response.Header
	h.Set(HeaderService, n.service)
	h.Set(HeaderReplica, n.replica)
	h.Set(HeaderHops, strconv.Itoa(hops(&ctx.Request.Header)))
	if bad != "" {
		n.answer(ctx, fasthttp.StatusBadRequest, string(bad))
		return
	}
	failed, cut := n.suffer(v)
	if cut {
		reset(ctx)
		return
	}
	if failed != "" {
		n.answer(ctx, fasthttp.StatusInternalServerError, failed)
		return
	}
	if k, ok := ctx.Conn().(*clocked); ok {
		v.began = k.back
	}
	r := n.execute(v)
	if len(v.ledger) > 0 {
		h.AddBytesKV(serverTiming, v.ownTime(n.service, ctx.Conn()))
	}
	status := fasthttp.StatusOK
	if r.failed != "" {
		status = r.status
	}
	if r.declared {
		h.Set(HeaderDeclared, "1")
	}
	if len(v.probe) > 0 {
		n.answerProbe(ctx, v, status, r)
		return
	}
	n.answer(ctx, status, r.failed)
}

func (n *Node) answer(ctx *fasthttp.RequestCtx, status int, failed string) {
	n.counts.answered(status)
	if failed != "" {
		ctx.SetStatusCode(status)
		ctx.SetBodyString(failed + "\n")
		return
	}
	ctx.Response.SetBodyRaw(n.body)
}

func (n *Node) healthz(ctx *fasthttp.RequestCtx) {
	if n.draining.Load() {
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
		ctx.SetBodyString("draining\n")
		return
	}
	ctx.SetBodyString("ok\n")
}

// ending is how a visit ended.
type ending struct {
	failed   string // why, "" when it did not
	status   int    // when it failed
	declared bool
}

// execute does the declared work: CPU, wait, then the script, step by step. It stops at the first step in which a call failed.
func (n *Node) execute(v *visit) ending {
	burn(n.cpu)
	if n.wait != nil {
		if err := n.sleeper.Sleep(n.wait(uniform(v.hash, forWait))); err != nil {
			return ending{failed: err.Error(), status: fasthttp.StatusInternalServerError}
		}
	}
	if n.errors > 0 && !v.all && uniform(v.hash, forError) < n.errors {
		return ending{failed: "declared error", status: fasthttp.StatusInternalServerError, declared: true}
	}
	for i := range n.steps {
		if end := n.step(v, i); end.failed != "" {
			return end
		}
	}
	return ending{}
}

// step makes the calls of one step at the same time: all but the last on goroutines of their own, so that a step of one call costs
// none.
func (n *Node) step(v *visit, i int) ending {
	calls := n.steps[i]
	v.results = append(v.results[:0], make([]result, len(calls))...)
	last := -1
	for j := range calls {
		if !v.all && calls[j].chance < 1 && uniform(v.hash, calls[j].draw) >= calls[j].chance {
			continue
		}
		if last >= 0 {
			v.pending.Add(1)
			go v.background(&calls[last], last)
		}
		last = j
	}
	if last >= 0 {
		began := time.Now()
		v.results[last] = calls[last].do(v)
		v.pending.Wait()
		v.tell(time.Since(began))
	}
	v.remember(i, calls)
	return v.failure(calls)
}

func (v *visit) background(c *call, j int) {
	defer v.pending.Done()
	v.results[j] = c.do(v)
}

// failure makes a failed call the caller's own failure (502). It stays a declared one only where every failed call was.
func (v *visit) failure(calls []call) ending {
	end := ending{declared: true, status: fasthttp.StatusBadGateway}
	for j, r := range v.results {
		if r.failed == "" {
			continue
		}
		if end.failed == "" {
			end.failed = fmt.Sprintf("call %s: %s", calls[j].to, r.failed)
		}
		end.declared = end.declared && r.declared
	}
	if end.failed == "" {
		return ending{}
	}
	return end
}
