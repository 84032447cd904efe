package exchange

import "time"

// MaxStages bounds a chain, so that the ledger is an array and costs no allocation.
const MaxStages = 24

// Ledger is where an exchange's time went, in nanoseconds by position in the chain: Inward, Outward and Finish added up. Off by
// default; On is set per exchange by sampling.
type Ledger struct {
	On       bool
	Stages   [MaxStages]int64
	Upstream int64 // waiting for the upstream, all tries
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
