package workload

import (
	"strconv"
	"time"
)

// A request with X-Crossroads-Ledger is answered with Server-Timing: what the proxies of the calls below told, and this node's own time,
// that is the handler's without its calls. Calls at the same time overlap, so that only graphs without them have a ledger that adds up.

var serverTiming = []byte("Server-Timing")

// tell takes in what a step's calls told, and how long the step took.
func (v *visit) tell(took time.Duration) {
	if len(v.ledger) == 0 {
		return
	}
	v.called += took
	for i := range v.results {
		if told := v.results[i].told; len(told) > 0 {
			v.told = append(v.told, told...)
		}
	}
}

// ownTime is the field's value.
func (v *visit) ownTime(service string, whole time.Duration) []byte {
	v.told = append(append(v.told, service...), ".app;dur="...)
	return strconv.AppendFloat(v.told, float64(whole-v.called)/1e6, 'f', 4, 64)
}
