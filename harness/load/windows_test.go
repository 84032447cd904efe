package load

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

func TestWindowsHoldTheBlockAlone(t *testing.T) {
	b := Block{From: time.Second, To: 2 * time.Second}
	var s Schedule
	var points []point
	for i := range 300 { // 100/s for three seconds: warm-up, block, and what no block holds
		s = append(s, Arrival{Due: time.Duration(i) * 10 * time.Millisecond})
		points = append(points, point{response: int64(i), state: success})
	}
	points[105].state = failure
	all := windows(s, points, b)
	require.Len(t, all, results.Windows)
	for w, got := range all {
		want := results.Window{Done: 10, P50: int64(100 + 10*w + 4), P99: int64(100 + 10*w + 9)}
		if w == 0 {
			want = results.Window{Done: 9, P50: 104, P99: 109}
		}
		require.Equal(t, want, got, "window %d", w)
	}
}
