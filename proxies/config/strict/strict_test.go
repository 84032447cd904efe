package strict_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// house is a file with one of everything.
type house struct {
	Version int                `yaml:"version"`
	Name    string             `yaml:"name,omitempty"`
	Door    door               `yaml:"door,omitempty"`
	Rooms   strict.Map[room]   `yaml:"rooms,omitempty"`
	Attic   *room              `yaml:"attic,omitempty"`
	Labels  strict.Map[string] `yaml:"labels,omitempty"`
	Heights []float64          `yaml:"heights,omitempty"`
	Guests  counts             `yaml:"guests,omitempty"`
	Open    bool               `yaml:"open,omitempty"`
	Seed    uint64             `yaml:"seed,omitempty"`
	Small   int8               `yaml:"small,omitempty"`
	secret  string
	Derived string `yaml:"-"`
}

type door struct {
	Width  units.Bytes    `yaml:"width,omitempty"`
	Closes units.Duration `yaml:"closes,omitempty"`
}

func (d *door) SetDefaults() { d.Closes = units.Duration(5e9) }

type room struct {
	Area  units.Count  `yaml:"area,omitempty"`
	Share *units.Share `yaml:"share,omitempty"`
	Mode  mode         `yaml:"mode,omitempty"`
	Rooms []room       `yaml:"rooms,omitempty"`
}

func (r *room) SetDefaults() { r.Area = 12 }

// mode is written on, off, or as a mapping.
type mode struct {
	Word  string `yaml:"word,omitempty"`
	Level int    `yaml:"level,omitempty"`
}

func (m *mode) UnmarshalNode(n *strict.Node) error {
	switch {
	case n.Kind == strict.Mapping:
		m.Word = "on"
		n.DecodeFields(m)
		return nil
	case n.Kind == strict.Scalar && (n.Text == "on" || n.Text == "off"):
		m.Word = n.Text
		return nil
	}
	return fmt.Errorf("expected on, off or a mapping, found %s", n)
}

func (m *mode) MarshalNode() any {
	if m.Level == 0 {
		return m.Word
	}
	return nil
}

// counts is one number or a list.
type counts []int

func (c *counts) UnmarshalNode(n *strict.Node) error {
	if n.Kind == strict.Scalar {
		var one int
		if n.Decode(&one) {
			*c = counts{one}
		}
		return nil
	}
	var list []int
	n.Decode(&list)
	*c = list
	return nil
}

func (c *counts) MarshalNode() any {
	if len(*c) == 1 {
		return (*c)[0]
	}
	return []int(*c)
}

const full = `# comment
version: 1
name: "a: \"b\""
door: {width: 4KiB}
rooms:
  kitchen: {area: 1.5k, share: 50%, mode: off}
  hall: {}
  "b.c":
    mode: {level: 3}
    rooms:
      - {area: 1}
      - mode: on
attic: {}
labels: {X-Key: demo, n: 5, on: true}
heights: [1, 2.5]
guests: 7
open: true
seed: 18446744073709551615
`

func TestDecodesAFile(t *testing.T) {
	h := house{Name: "default", Small: 4}
	doc, err := strict.Decode("house.yaml", []byte(full), &h)
	require.NoError(t, err)
	require.Equal(t, 1, h.Version)
	require.Equal(t, `a: "b"`, h.Name)
	require.Empty(t, h.secret, "no key reaches an unexported field")
	require.Equal(t, int8(4), h.Small, "what the file does not name stays")
	require.Equal(t, units.Duration(5e9), h.Door.Closes, "an inner default beside a written key")
	require.Equal(t, []string{"kitchen", "hall", "b.c"}, h.Rooms.Keys())
	require.Equal(t, units.Count(1500), h.Rooms.At("kitchen").Area)
	require.Equal(t, units.Count(12), h.Rooms.At("hall").Area)
	require.Equal(t, units.Share(0.5), *h.Rooms.At("kitchen").Share)
	require.Nil(t, h.Rooms.At("hall").Share)
	require.Equal(t, mode{"on", 3}, h.Rooms.At("b.c").Mode)
	require.Equal(t, []room{{Area: 1}, {Area: 12, Mode: mode{Word: "on"}}}, h.Rooms.At("b.c").Rooms)
	require.Equal(t, units.Count(12), h.Attic.Area)
	require.Equal(t, "true", h.Labels.At("on"))
	require.Equal(t, counts{7}, h.Guests)
	require.Equal(t, uint64(18446744073709551615), h.Seed)
	require.True(t, doc.Has(`$.rooms["b.c"].rooms[1].mode`))
	require.False(t, doc.Has("$.door.closes"))
}

func TestPlaces(t *testing.T) {
	var h house
	doc, err := strict.Decode("house.yaml", []byte(full), &h)
	require.NoError(t, err)
	for path, want := range map[string][2]int{
		"$":                            {2, 1},
		"$.version":                    {2, 10},
		"$.rooms":                      {5, 1},
		"$.rooms.kitchen":              {6, 3},
		"$.rooms.kitchen.share":        {6, 32},
		"$.rooms.kitchen.nothing.here": {6, 3},
		strict.Key("$.rooms", "b.c"):   {8, 3},
		`$.rooms["b.c"].rooms[1]`:      {12, 9},
		`$.rooms["b.c"].rooms[1].mode`: {12, 15},
		`$.rooms["b.c"].rooms[7]`:      {10, 5},
		strict.Index("$.heights", 1):   {15, 14},
		"$.nothing":                    {2, 1},
		`$["unterminated`:              {2, 1},
		"$.heights[x]":                 {15, 1},
	} {
		f := doc.Fault(path, "m %d", 1)
		require.Equal(t, want, [2]int{f.Line, f.Column}, path)
		require.Equal(t, "m 1", f.Message)
	}
}

func TestReportJoinsTheFaultsOfDecoding(t *testing.T) {
	var h house
	doc, err := strict.Decode("house.yaml", []byte("version: x\nname: n\nnmae: m\n"), &h)
	require.Error(t, err)
	require.False(t, doc.Broken())
	doc.Report("$.name", "taken")
	doc.Report("$.name", "taken")
	var faults strict.Faults
	require.True(t, errors.As(doc.Err(), &faults))
	require.Equal(t, []int{1, 2, 3}, []int{faults[0].Line, faults[1].Line, faults[2].Line})
	require.Len(t, faults, 3, "the same fault is reported once")
}

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// TestGoldenFaults holds every message of testdata/*.yaml.
func TestGoldenFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			var h house
			_, err = strict.Decode(filepath.Base(file), data, &h)
			require.Error(t, err)
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644))
			}
			want, readErr := os.ReadFile(golden)
			require.NoError(t, readErr)
			require.Equal(t, string(want), err.Error()+"\n")
		})
	}
}

func TestAliasesAndMergeKeys(t *testing.T) {
	var h house
	_, err := strict.Decode("f", []byte(`version: 1
rooms:
  a: &a {area: 3, mode: on}
  b: *a
  c: {<<: *a, area: 4}
  d: {<<: [*a, {share: 5%}]}
`), &h)
	require.NoError(t, err)
	require.Equal(t, h.Rooms.At("a"), h.Rooms.At("b"))
	require.Equal(t, room{Area: 4, Mode: mode{Word: "on"}}, h.Rooms.At("c"))
	require.Equal(t, units.Share(0.05), *h.Rooms.At("d").Share)
	require.Equal(t, units.Count(3), h.Rooms.At("d").Area)
}

// TestBounded feeds what grows: the answer is a fault, soon, and never a fatal stack or memory.
func TestBounded(t *testing.T) {
	bomb := "version: 1\nrooms:\n  a: &a0 {area: 1}\nattic:\n  rooms:\n"
	bomb += "    - &b0 {rooms: [{}, {}]}\n"
	for i := range 40 {
		bomb += fmt.Sprintf("    - &b%d {rooms: [*b%d, *b%d]}\n", i+1, i, i)
	}
	var quadratic strings.Builder
	quadratic.WriteString("labels: &l {")
	for i := range 500 {
		fmt.Fprintf(&quadratic, "k%d: v, ", i)
	}
	quadratic.WriteString("}\nheights:\n")
	for range 500 {
		quadratic.WriteString("  - {<<: *l}\n")
	}
	for name, data := range map[string]string{
		"brackets":    strings.Repeat("[", 20_000),
		"braces":      strings.Repeat("{a: ", 10_000),
		"dashes":      strings.Repeat("- ", 50_000),
		"questions":   strings.Repeat("? ", 50_000),
		"tags":        "a: " + strings.Repeat("!!x ", 20_000),
		"anchors":     "a: " + strings.Repeat("&x ", 20_000),
		"size":        strings.Repeat("#", strict.MaxBytes+1),
		"alias bomb":  bomb,
		"merge bomb":  quadratic.String(),
		"values":      "heights: [" + strings.Repeat("1,", 505_000) + "]",
		"unknown":     strings.Repeat("x: 1\n", 2_000),
		"own anchor":  "attic: &a {rooms: [*a]}",
		"indentation": indented(1000),
	} {
		t.Run(name, func(t *testing.T) {
			var h house
			_, err := strict.Decode("f", []byte(data), &h)
			var faults strict.Faults
			require.ErrorAs(t, err, &faults)
			require.LessOrEqual(t, len(faults), strict.MaxFaults+1)
			require.Less(t, len(err.Error()), 100_000)
		})
	}
}

func indented(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "attic:\n")
	}
	return b.String()
}

func TestLineEndsAndMarks(t *testing.T) {
	var h house
	_, err := strict.Decode("f", []byte("\ufeffversion: 1\r\nname: x\r\nnmae: y\r\n"), &h)
	var faults strict.Faults
	require.ErrorAs(t, err, &faults)
	require.Equal(t, "x", h.Name)
	require.Equal(t, strict.Fault{File: "f", Line: 3, Column: 1, Text: "nmae: y", Message: `unknown key "nmae": did you mean "name"?`}, faults[0])
}

func TestNearest(t *testing.T) {
	known := []string{"reference_rate", "rates", "rounds", "connections", "p", "on"}
	for word, want := range map[string]string{
		"rate": "rates", "referencerate": "reference_rate", "Reference-Rate": "reference_rate", "roudns": "rounds",
		"conections": "connections", "q": "", "xyz": "", "": "", "o": "on", strings.Repeat("r", 1000): "",
	} {
		require.Equal(t, want, strict.Nearest(word, known), word)
	}
}

func TestMergeWinsKeyByKey(t *testing.T) {
	var h house
	doc, err := strict.Decode("f", []byte("rooms:\n  a: {area: 1, rooms: [{}], mode: {level: 2}}\n  b: {area: 2, mode: {word: w}}\n"), &h)
	require.NoError(t, err)
	a, b := doc.Root().Lookup("$.rooms.a"), doc.Root().Lookup("$.rooms.b")
	var r room
	require.True(t, a.Merge(b).Decode(&r))
	require.Equal(t, room{Area: 2, Mode: mode{"w", 2}, Rooms: []room{{Area: 12}}}, r)
	require.Nil(t, a.Without("area").Get("area"))
	require.NotNil(t, a.Get("area"), "neither side changes")
}
