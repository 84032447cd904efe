package workload

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"
)

// Probe is a node's answer to a request with X-Crossroads-Probe: the request as it arrived, what it made the node do, and the same of
// every call below. Parity proves with it that arms do equal work over the hops they should have.
type Probe struct {
	Service  string       `json:"service"`
	Replica  int          `json:"replica"`
	Method   string       `json:"method"`
	Path     string       `json:"path"` // request target
	Host     string       `json:"host"`
	Peer     string       `json:"peer"` // the other end of the connection: the last proxy, or the caller
	Hops     int          `json:"hops"` // Via entries
	Headers  [][2]string  `json:"headers"`
	Body     int          `json:"body_bytes"`
	Seq      string       `json:"seq"`
	CallPath string       `json:"call_path,omitempty"`
	CPU      uint64       `json:"cpu_iterations"` // burnt
	Wait     int64        `json:"wait_ns"`        // drawn
	Size     int          `json:"size_bytes"`     // of the answer without a probe
	Status   int          `json:"status"`
	Failed   string       `json:"failed,omitempty"`
	Declared bool         `json:"declared,omitempty"`
	Calls    []ProbedCall `json:"calls,omitempty"`
	Text     string       `json:"text,omitempty"` // an answer from below that is no probe: a proxy's own
}

// ProbedCall is one call of the script.
type ProbedCall struct {
	To     string `json:"to"`
	Step   int    `json:"step"` // from 0
	Call   int    `json:"call"` // within the step, from 0
	Made   bool   `json:"made"` // false where its probability said no
	Failed string `json:"failed,omitempty"`
	Probe  *Probe `json:"probe,omitempty"`
}

// remember keeps the calls of a step for the probe.
func (v *visit) remember(step int, calls []call) {
	if len(v.probe) == 0 {
		return
	}
	for j, r := range v.results {
		v.probed = append(v.probed, ProbedCall{
			To: calls[j].to, Step: step, Call: j, Made: r.probe != nil || r.failed != "", Failed: r.failed, Probe: r.probe,
		})
	}
}

func (n *Node) answerProbe(ctx *fasthttp.RequestCtx, v *visit, status int, end ending) {
	n.counts.answered(status)
	replica, _ := strconv.Atoi(n.replica)
	p := Probe{
		Service: n.service, Replica: replica, Method: string(ctx.Method()), Path: string(ctx.RequestURI()), Host: string(ctx.Host()),
		Peer: ctx.RemoteAddr().String(), Hops: hops(&ctx.Request.Header), Body: len(ctx.Request.Body()), Seq: string(v.seq),
		CallPath: string(v.path), CPU: n.cpu, Size: len(n.body), Status: status, Failed: end.failed, Declared: end.declared, Calls: v.probed,
	}
	if n.wait != nil {
		p.Wait = int64(n.wait(uniform(v.hash, forWait)) / time.Nanosecond)
	}
	for key, value := range ctx.Request.Header.All() {
		p.Headers = append(p.Headers, [2]string{string(key), string(value)})
	}
	body, err := json.Marshal(p)
	if err != nil { // only text that is not UTF-8 could be in the way, and the encoder replaces that
		status, body = fasthttp.StatusInternalServerError, []byte(`{"failed":"probe: `+strconv.Quote(err.Error())+`"}`)
	}
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/json")
	ctx.SetBody(body)
}
