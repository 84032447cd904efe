package telemetry

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The sketch against an exact count, over streams in which few ask much and many ask once.
func TestTopKeepsItsPromises(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		top, exact, total := newTop(16), map[string]uint64{}, 0
		for range 5000 {
			name := fmt.Sprintf("c%d", int(r.ExpFloat64()*4))
			if r.IntN(3) == 0 {
				name = fmt.Sprintf("once%d", r.Uint64())
			}
			exact[name]++
			top.Count(name)
			total++
		}
		list := top.List()
		require.Len(t, list, 16)
		held := map[string]bool{}
		for i, k := range list {
			held[k.Name] = true
			require.GreaterOrEqual(t, k.Requests, exact[k.Name], "never too low")
			require.LessOrEqual(t, k.Requests-k.Over, exact[k.Name], "too high by no more than it says")
			if i > 0 {
				require.LessOrEqual(t, k.Requests, list[i-1].Requests)
			}
		}
		for name, n := range exact {
			require.True(t, n <= uint64(total/16) || held[name], "%s asked %d times of %d", name, n, total)
		}
	}
}

func TestTopAllocatesNothingForTheKnown(t *testing.T) {
	top := newTop(4)
	top.Count("a")
	require.Zero(t, testing.AllocsPerRun(100, func() { top.Count("a") }))
}
