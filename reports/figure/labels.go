package figure

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// spread moves labels apart that want to stand at the given heights: no two closer than gap, none outside [low, high], the
// order kept, and the sum of squared moves least (isotonic regression by pooling adjacent violators). Where not all of them fit,
// they stand at equal distances.
func spread(want []float64, gap, low, high float64) []float64 {
	n := len(want)
	if n == 0 {
		return nil
	}
	gap = min(gap, (high-low)/float64(max(n-1, 1)))
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(want[a], want[b]) })

	// With i gaps taken off, "at least a gap apart" becomes "not falling".
	type pool struct {
		sum   float64
		count int
	}
	var pools []pool
	for i, j := range order {
		p := pool{want[j] - float64(i)*gap, 1}
		for len(pools) > 0 {
			last := pools[len(pools)-1]
			if last.sum/float64(last.count) <= p.sum/float64(p.count) {
				break
			}
			p = pool{p.sum + last.sum, p.count + last.count}
			pools = pools[:len(pools)-1]
		}
		pools = append(pools, p)
	}
	at, i := make([]float64, n), 0
	for _, p := range pools {
		level := min(max(p.sum/float64(p.count), low), high-float64(n-1)*gap)
		for range p.count {
			at[order[i]] = level + float64(i)*gap
			i++
		}
	}
	return at
}

// clean takes out control characters, which no form of SVG may hold.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}

// shorten keeps both ends of a name that is too long: arms of one family differ at either.
func shorten(name string, most int) string {
	r := []rune(clean(name))
	if len(r) <= most {
		return string(r)
	}
	tail := (most - 1) / 3
	return string(r[:most-1-tail]) + "…" + string(r[len(r)-tail:])
}
