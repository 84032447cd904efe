package crossroads_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// drawing is what ARCHITECTURE.md draws: on which floor a package stands, and the walls that hold beside the floors.
type drawing struct {
	floors map[string]spot // by pattern: a package, or one with all below it (x/...)
	walls  []wall
}

// spot is a place on a floor. Within a floor a package may import those to its left in its own row, written a < b < c.
type spot struct{ floor, row, column int }

// wall is one line: "A only B" or "A never B", the latter with "except C" or without.
type wall struct{ from, verb, to, except string }

// block returns the text of the fenced block with the info string.
func block(text, info string) (string, error) {
	_, rest, ok := strings.Cut(text, "\n```"+info+"\n")
	if !ok {
		return "", fmt.Errorf("there is no block ```%s", info)
	}
	body, _, ok := strings.Cut(rest, "\n```")
	if !ok {
		return "", fmt.Errorf("the block ```%s does not end", info)
	}
	return body, nil
}

func parseDrawing(text string) (*drawing, error) {
	d := &drawing{floors: map[string]spot{}}
	floors, err := block(text, "floors")
	if err != nil {
		return nil, err
	}
	row := 0
	for line := range strings.Lines(floors) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		floor, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, fmt.Errorf("floors: %q does not begin with the number of a floor", strings.TrimSpace(line))
		}
		column, chained := 0, false
		for _, word := range fields[1:] {
			if word == "<" {
				chained = true
				continue
			}
			if chained {
				column++
			} else {
				row, column = row+1, 0
			}
			chained = false
			if _, twice := d.floors[word]; twice {
				return nil, fmt.Errorf("floors: %s is drawn twice", word)
			}
			d.floors[word] = spot{floor, row, column}
		}
	}
	walls, err := block(text, "walls")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(walls) {
		switch f := strings.Fields(line); {
		case len(f) == 0:
		case len(f) == 3 && (f[1] == "only" || f[1] == "never"):
			d.walls = append(d.walls, wall{f[0], f[1], f[2], ""})
		case len(f) == 5 && f[1] == "never" && f[3] == "except":
			d.walls = append(d.walls, wall{f[0], f[1], f[2], f[4]})
		default:
			return nil, fmt.Errorf("walls: %q is not: A only B, A never B, A never B except C", strings.TrimSpace(line))
		}
	}
	return d, nil
}

// covers says whether a pattern stands for a package.
func covers(pattern, pkg string) bool {
	if root, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == root || strings.HasPrefix(pkg, root+"/")
	}
	return pattern == pkg
}

// find returns where a package is drawn; the longest pattern counts.
func (d *drawing) find(pkg string) (pattern string, at spot, ok bool) {
	for p, s := range d.floors {
		if covers(p, pkg) && len(p) > len(pattern) {
			pattern, at, ok = p, s, true
		}
	}
	return pattern, at, ok
}

// importing is one package that imports another.
type importing struct {
	from, to string
	test     bool // from a test: walls hold, floors do not
}

// faults returns what does not stand as it is drawn, sorted.
func (d *drawing) faults(packages []string, imports []importing) []string {
	found := map[string]bool{}
	fault := func(format string, args ...any) { found[fmt.Sprintf(format, args...)] = true }
	used := map[string]bool{}
	for _, p := range packages {
		pattern, _, ok := d.find(p)
		if !ok {
			fault("%s stands on no floor", p)
		}
		used[pattern] = true
	}
	for pattern := range d.floors {
		if !used[pattern] {
			fault("%s is drawn and not there", pattern)
		}
	}
	for _, i := range imports {
		if i.from == i.to {
			continue
		}
		if !i.test && !d.stands(i.from, i.to) {
			fault("%s imports %s, which is not below it", i.from, i.to)
		}
		for _, w := range d.walls {
			if w.stops(i.from, i.to) {
				fault("%s imports %s, against the wall %q", i.from, i.to, w)
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// stands says whether a package may import another by the floors.
func (d *drawing) stands(from, to string) bool {
	_, f, known := d.find(from)
	_, t, there := d.find(to)
	switch {
	case !known || !there:
		return true // a fault of its own
	case f.floor != t.floor:
		return f.floor > t.floor
	case f.row == t.row && f.column > t.column:
		return true
	}
	return strings.HasPrefix(from, to+"/") // a package below another's folder may import it
}

func (w wall) stops(from, to string) bool {
	if !covers(w.from, from) {
		return false
	}
	if w.verb == "only" {
		return !covers(w.to, to)
	}
	return covers(w.to, to) && !(w.except != "" && covers(w.except, to))
}

func (w wall) String() string {
	if w.except != "" {
		return fmt.Sprintf("%s %s %s except %s", w.from, w.verb, w.to, w.except)
	}
	return fmt.Sprintf("%s %s %s", w.from, w.verb, w.to)
}

func TestFloors(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	require.NoError(t, err)
	d, err := parseDrawing(string(text))
	require.NoError(t, err)
	_, all := sources(t)
	packages := map[string]bool{}
	var imports []importing
	for _, s := range all {
		if s.pkg() == "" {
			continue
		}
		if !s.test {
			packages[s.pkg()] = true
		}
		for _, to := range s.ours() {
			imports = append(imports, importing{s.pkg(), to, s.test})
		}
	}
	require.Empty(t, d.faults(slices.Sorted(maps.Keys(packages)), imports))
}

// TestABrokenFloorIsSeen breaks a small house in every way.
func TestABrokenFloorIsSeen(t *testing.T) {
	const house = "\n```floors\n2 cmd/...\n1 a < b c x/...\n0 d\n```\n\n```walls\nc only d\nb never d except d/e\n```\n"
	d, err := parseDrawing(house)
	require.NoError(t, err)
	whole := []string{"a", "b", "c", "d", "cmd/one", "x", "x/y"}
	for name, c := range map[string]struct {
		packages []string
		imports  []importing
		want     []string
	}{
		"as drawn":            {whole, []importing{{"cmd/one", "a", false}, {"b", "a", false}, {"a", "d", false}, {"c", "d", false}, {"x/y", "x", false}, {"a", "a", true}}, nil},
		"upwards":             {whole, []importing{{"d", "a", false}}, []string{"d imports a, which is not below it"}},
		"beside":              {whole, []importing{{"a", "c", false}}, []string{"a imports c, which is not below it"}},
		"leftwards":           {whole, []importing{{"a", "b", false}}, []string{"a imports b, which is not below it"}},
		"another row":         {whole, []importing{{"x", "b", false}}, []string{"x imports b, which is not below it"}},
		"a parent its child":  {whole, []importing{{"x", "x/y", false}}, []string{"x imports x/y, which is not below it"}},
		"upwards in a test":   {whole, []importing{{"d", "a", true}}, nil},
		"through a wall":      {whole, []importing{{"c", "a", true}, {"b", "d", false}}, []string{`b imports d, against the wall "b never d except d/e"`, `c imports a, against the wall "c only d"`}},
		"through its door":    {append([]string{"d/e"}, whole...), []importing{{"b", "d/e", true}}, []string{"d/e stands on no floor"}},
		"not drawn":           {append([]string{"new"}, whole...), nil, []string{"new stands on no floor"}},
		"drawn and not there": {whole[1:], nil, []string{"a is drawn and not there"}},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, d.faults(c.packages, c.imports)) })
	}
	for name, text := range map[string]string{
		"no table":       "# A house\n",
		"no end":         "\n```floors\n1 a\n",
		"no number":      "\n```floors\nfirst a\n```\n\n```walls\n```\n",
		"twice":          "\n```floors\n1 a\n0 a\n```\n\n```walls\n\n```\n",
		"no walls":       "\n```floors\n1 a\n```\n",
		"a strange wall": "\n```floors\n1 a\n```\n\n```walls\na sometimes b\n```\n",
	} {
		_, err := parseDrawing(text)
		require.Error(t, err, name)
	}
}
