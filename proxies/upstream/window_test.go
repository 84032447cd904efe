package upstream

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWindowCountsExactly compares the window with a list of everything that ever happened.
func TestWindowCountsExactly(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 30 {
		var w window
		type call struct {
			slot      int64
			bad, slow bool
		}
		var all []call
		now := t0
		for range 300 {
			if r.IntN(20) == 0 {
				now = now.Add(time.Duration(r.IntN(15_000)) * time.Millisecond) // a pause, perhaps longer than the window
			}
			now = now.Add(time.Duration(r.IntN(300)) * time.Millisecond)
			bad, slow := r.IntN(3) == 0, r.IntN(4) == 0
			w.add(now, bad, slow)
			slot := int64(now.Sub(w.start) / time.Second)
			all = append(all, call{slot, bad, slow})
			var want tally
			for _, c := range all {
				if c.slot > slot-10 {
					want.calls++
					if c.bad {
						want.bad++
					}
					if c.slow {
						want.slow++
					}
				}
			}
			require.Equal(t, want, w.sum)
		}
	}
}

func TestWindowBearsAClockThatStepsBack(t *testing.T) {
	var w window
	w.add(t0.Add(3*time.Second), true, false)
	w.add(t0, true, false)
	require.Equal(t, 2, w.sum.calls)
}
