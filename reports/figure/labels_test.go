package figure

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		name      string
		want      []float64
		gap       float64
		low, high float64
		at        []float64
	}{
		{"far apart stay", []float64{10, 50}, 14, 0, 100, []float64{10, 50}},
		{"two at one place part evenly", []float64{50, 50}, 14, 0, 100, []float64{43, 57}},
		{"order is kept", []float64{52, 50}, 14, 0, 100, []float64{58, 44}},
		{"inside the frame", []float64{99, 99}, 14, 0, 100, []float64{86, 100}},
		{"below the frame", []float64{-5}, 14, 0, 100, []float64{0}},
		{"more than fit", []float64{1, 1, 1}, 80, 0, 100, []float64{0, 50, 100}},
		{"none", nil, 14, 0, 100, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.InDeltaSlice(t, c.at, spread(c.want, c.gap, c.low, c.high), 1e-9)
		})
	}
}

func TestShorten(t *testing.T) {
	require.Equal(t, "mesh", shorten("mesh", 10))
	require.Equal(t, "gateway-with…th-on", shorten("gateway-with-key-auth-on", 18))
	require.Len(t, []rune(shorten("ヴェールヴェールヴェール", 6)), 6)
}

func TestTicks(t *testing.T) {
	label := func(a Axis, low, high float64) []string {
		var s []string
		for _, tick := range (ticker{a}).Ticks(low, high) {
			s = append(s, tick.Label)
		}
		return s
	}
	require.Equal(t, []string{"0.5", "1", "2", "5"}, label(Axis{Scale: Log}, 0.4, 6))
	require.Equal(t, []string{"2.1", "2.2", "2.3", "2.4"}, label(Axis{Scale: Log}, 2.05, 2.45))
	require.Equal(t, []string{"", "0.1", "", "", "1", "", "", "10", "", "", "100", ""}, label(Axis{Scale: Log}, 0.05, 200)[:12])
	require.Equal(t, []string{"p50", "p90", "p99"}, label(Axis{Scale: Nines}, 0.1, 2.5))
	require.Equal(t, []string{"500", "1,000"}, label(Axis{Ticks: []float64{500, 1000}}, 0, 2000))
	require.Equal(t, []string{"−1", "−0.5", "0", "0.5", "1"}, label(Axis{}, -1.2, 1.2))
}

func TestBoundsAreAlwaysARange(t *testing.T) {
	for _, a := range []Axis{{}, {Scale: Log}, {Zero: true}, {Scale: Nines}} {
		for _, s := range []span{empty(), {0, 0}, {1, 1}, {1e-9, 1e9}} {
			if a.Scale == Log && s.low == 0 {
				continue // take never lets zero in
			}
			low, high := a.bounds(s)
			require.Less(t, low, high)
			require.False(t, math.IsNaN(low) || a.Scale == Log && low <= 0)
		}
	}
}

// WCAG 2.2, 1.4.3: words need a contrast of 4.5:1, and every ink also sets words.
func TestContrast(t *testing.T) {
	words := append([]Colour{Ink, Muted}, Inks...)
	for _, c := range words {
		require.GreaterOrEqual(t, Contrast(c.Light, Paper.Light), 4.5, c.Role)
		require.GreaterOrEqual(t, Contrast(c.Light, Shady.Light), 4.5, c.Role)
		require.GreaterOrEqual(t, Contrast(c.Dark, Paper.Dark), 4.5, c.Role)
		require.GreaterOrEqual(t, Contrast(c.Dark, Shady.Dark), 4.5, c.Role)
	}
}

func TestRolesHaveLightColoursOfTheirOwn(t *testing.T) {
	var seen []string
	for _, c := range Roles() {
		for _, s := range seen {
			require.False(t, alike(s, Hex(c.Light)), "%s and %s", s, c.Role)
		}
		require.False(t, slices.Contains(seen, Hex(c.Light)))
		seen = append(seen, Hex(c.Light))
	}
}
