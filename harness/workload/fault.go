package workload

import (
	"encoding/json"
	"net"
	"time"

	"github.com/valyala/fasthttp"
)

// FaultPath is where a replica is told to answer badly (PUT with a Fault as JSON) and to answer as declared again (DELETE).
const FaultPath = "/faults"

// Fault is how a replica answers badly. The shares are drawn like everything else: by seed, service, call path, sequence number and
// attempt, so that the same requests fail in every arm in which they come to this replica.
type Fault struct {
	Errors float64       `json:"errors"`   // share of requests answered with 500, which are no declared errors
	Delay  time.Duration `json:"delay_ns"` // of every request
	Reset  float64       `json:"reset"`    // share of requests whose connection is reset instead of an answer
}

func (n *Node) takeFault(ctx *fasthttp.RequestCtx) {
	switch {
	case ctx.IsDelete():
		n.fault.Store(nil)
	case ctx.IsPut():
		f := &Fault{}
		if err := json.Unmarshal(ctx.PostBody(), f); err != nil || f.Errors < 0 || f.Errors > 1 || f.Reset < 0 || f.Reset > 1 || f.Delay < 0 {
			ctx.SetStatusCode(fasthttp.StatusBadRequest)
			ctx.SetBodyString("a fault is JSON: errors and reset as shares from 0 to 1, delay_ns not below 0\n")
			return
		}
		n.fault.Store(f)
	default:
		ctx.SetStatusCode(fasthttp.StatusMethodNotAllowed)
		return
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// suffer does to a request what the fault in force says: it waits, and says why the request fails or that its connection is to be
// cut. Probes suffer too: what is told to a replica holds for whoever asks.
func (n *Node) suffer(v *visit) (failed string, cut bool) {
	f := n.fault.Load()
	if f == nil {
		return "", false
	}
	if f.Delay > 0 {
		if err := n.sleeper.Sleep(f.Delay); err != nil {
			return err.Error(), false
		}
	}
	if f.Reset > 0 && uniform(v.hash, forFaultReset) < f.Reset {
		return "", true
	}
	if f.Errors > 0 && uniform(v.hash, forFaultError) < f.Errors {
		return "injected error", false
	}
	return "", false
}

// reset ends the connection without an answer: with an RST where it is TCP (SO_LINGER of zero, socket(7)).
func reset(ctx *fasthttp.RequestCtx) {
	c := ctx.Conn()
	if k, ok := c.(*clocked); ok {
		c = k.Conn
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the peer sees an orderly end, which is bad enough
	}
	_ = c.Close()
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(net.Conn) {})
}
