package exchange

import (
	"math/rand/v2"
	"time"

	"crossroads/proxies/wire"
)

// MaxStages bounds a chain, so that the ledger is an array and costs no allocation.
const MaxStages = 24

// Ledger is where an exchange's time went, in nanoseconds, the stages' by their position in the chain: Inward, Outward and Finish added
// up. Off by default; On is set per exchange by sampling.
//
// The parts leave no gap: each begins where the one before has ended, and the first where the head's last bytes have come in. So Read,
// Stages and Upstream less Waited come to all that the proxy itself has done up to the last of them.
type Ledger struct {
	On       bool
	Read     int64 // from the return of the system call that brought the head's end: opening the record, reading the head
	Stages   [MaxStages]int64
	Upstream int64 // behind the chain, all tries
	Waited   int64 // of it in system calls, waiting for them, or pausing: what the proxy did nothing in
	Told     int64 // what a Server-Timing field that is filled in as it leaves tells besides; 0 where there is none
	Total    int64 // head read to last byte sent

	mark wire.Instant // where the part under way began
}

// begin starts the first part: since is when the head had come in.
func (l *Ledger) begin(since wire.Instant) {
	if l.On {
		l.mark = since
		l.claim(&l.Read)
	}
}

// claim adds the time since the last claim to a part. The clock (a vDSO call) is looked at only where the ledger is on.
func (l *Ledger) claim(part *int64) {
	if l.On {
		now := wire.Now()
		*part += int64(now - l.mark)
		l.mark = now
	}
}

// Wait counts time in which the proxy did nothing.
func (l *Ledger) Wait(d time.Duration) {
	if l.On {
		l.Waited += int64(d)
	}
}

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
