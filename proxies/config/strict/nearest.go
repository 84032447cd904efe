package strict

import (
	"fmt"
	"strings"
)

// Nearest returns the known word that was probably meant, or "" where none is near: equal but for case and separators, or at most
// one edit in three letters away (optimal string alignment: insert, delete, replace, swap neighbours).
func Nearest(word string, known []string) string {
	if len(word) > 64 {
		return ""
	}
	w, best, bestDistance := fold(word), "", len(word)+1
	for _, k := range known {
		f := fold(k)
		limit := max(1, min(len(w), len(f))/3)
		if d := distance(w, f); d <= limit && d < bestDistance && d < len(f) {
			best, bestDistance = k, d
		}
	}
	return best
}

// Unknown writes that a word is not among the known ones, with the nearest or, where none is near, all of them.
func Unknown(what, word string, known []string) string {
	if n := Nearest(word, known); n != "" {
		return fmt.Sprintf("unknown %s %q: did you mean %q?", what, word, n)
	}
	if len(known) == 0 {
		return fmt.Sprintf("unknown %s %q: none is known here", what, word)
	}
	list := strings.Join(known[:min(len(known), 24)], ", ")
	if len(known) > 24 {
		list += ", ..."
	}
	return fmt.Sprintf("unknown %s %q: known are %s", what, word, list)
}

func fold(s string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(s))
}

func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
