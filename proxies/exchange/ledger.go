package exchange

import (
	"math/rand/v2"
	"time"
)

// MaxStages bounds a chain, so that the ledger is an array and costs no allocation.
const MaxStages = 24

// Ledger is where an exchange's time went, in nanoseconds by position in the chain: Inward, Outward and Finish added up. Off by
// default; On is set per exchange by sampling.
type Ledger struct {
	On       bool
	Stages   [MaxStages]int64
	Upstream int64 // behind the chain, all tries
	Waited   int64 // of it blocked on the upstream: from before a request is written until its response head has arrived
	Total    int64 // head read to last byte sent
}

// now is monotonic; its cost (a vDSO call) is paid only where the ledger is on.
func (l *Ledger) now() int64 {
	if !l.On {
		return 0
	}
	return int64(time.Since(ledgerEpoch))
}

func (l *Ledger) spend(stage int, since int64) {
	if l.On {
		l.Stages[stage] += l.now() - since
	}
}

var ledgerEpoch = time.Now()

// Fields by which a ledger is asked for and travels.
const (
	LedgerField     = "X-Crossroads-Ledger" // request: whoever sends it wants to know where the time goes
	MeshLedgerField = "X-Mesh-Ledger"       // between two sidecars only: request, to be told; response, the callee's own times
)

// Sampling says which exchanges keep a ledger. The zero value: none.
type Sampling struct {
	Share     float64 // at random
	OnRequest bool    // those that ask in Field
	Field     string
}

// Some says whether there can be a ledger at all.
func (s *Sampling) Some() bool { return s.Share > 0 || s.OnRequest }

// Decide switches the ledger of an exchange on or off.
func (s *Sampling) Decide(x *Exchange) {
	x.Ledger.On = s.Share >= 1 || s.Share > 0 && rand.Float64() < s.Share || s.OnRequest && len(x.Request.Header.Peek(s.Field)) > 0
}
