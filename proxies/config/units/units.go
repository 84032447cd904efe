// Package units holds the quantities that configuration files write with their unit: durations, sizes, counts and shares.
//
// Its one invariant: what String prints, UnmarshalText reads back as the same value. It does not know any file format; strict
// decoding (package strict) calls UnmarshalText and adds the place in the file.
package units

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a span of time written with its unit: 250us, 1.5s, 2m. Zero may be written 0.
type Duration time.Duration

// D returns the value as a time.Duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String writes the shortest spelling that time.ParseDuration reads back.
func (d Duration) String() string {
	s := strings.ReplaceAll(time.Duration(d).String(), "µ", "u")
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a non-negative duration with its unit.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "0" {
		*d = 0
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil {
		return fmt.Errorf("%q is not a duration: write a number with its unit, such as 250us, 20ms, 1.5s or 2m", s)
	}
	if v < 0 {
		return fmt.Errorf("%q is negative: a duration here is zero or more", s)
	}
	*d = Duration(v)
	return nil
}

// Bytes is a size: 512B, 4KiB, 1MiB (powers of 1024) or 4kB, 1MB (powers of 1000).
type Bytes int64

var byteUnits = []struct {
	suffix string
	factor int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// String writes the largest binary unit that divides the size evenly.
func (b Bytes) String() string {
	for _, u := range byteUnits[:3] {
		if b != 0 && int64(b)%u.factor == 0 {
			return strconv.FormatInt(int64(b)/u.factor, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// MarshalText implements encoding.TextMarshaler.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads a size with its unit; 0 needs none.
func (b *Bytes) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "0" {
		*b = 0
		return nil
	}
	for _, u := range byteUnits {
		number, found := strings.CutSuffix(s, u.suffix)
		if !found {
			continue
		}
		v, ok := decimal(number)
		if !ok || v*float64(u.factor) > 1<<50 {
			break
		}
		*b = Bytes(v * float64(u.factor))
		return nil
	}
	return fmt.Errorf("%q is not a size: write a number with its unit, such as 256B, 4KiB or 1MiB", s)
}

// Count is a number that may be written with a decimal suffix: 500, 1k, 1.5k, 2M. As a rate its unit is per second.
type Count float64

// F returns the value as a float64.
func (c Count) F() float64 { return float64(c) }

// String writes the suffix that keeps the number short and exact.
func (c Count) String() string {
	for _, u := range countUnits {
		if v := float64(c) / u.factor; float64(c) >= u.factor && exactShort(v, float64(c), u.factor) {
			return strconv.FormatFloat(v, 'f', -1, 64) + u.suffix
		}
	}
	return strconv.FormatFloat(float64(c), 'f', -1, 64)
}

var countUnits = []struct {
	suffix string
	factor float64
}{{"M", 1e6}, {"k", 1e3}}

// exactShort says whether v prints with at most one decimal and still means whole.
func exactShort(v, whole, factor float64) bool {
	s := strconv.FormatFloat(v, 'f', -1, 64)
	dot := strings.IndexByte(s, '.')
	return v*factor == whole && (dot < 0 || len(s)-dot <= 2)
}

// MarshalText implements encoding.TextMarshaler.
func (c Count) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a non-negative number with an optional k or M.
func (c *Count) UnmarshalText(text []byte) error {
	s, factor := string(text), 1.0
	for _, u := range countUnits {
		if number, found := strings.CutSuffix(s, u.suffix); found {
			s, factor = number, u.factor
			break
		}
	}
	v, ok := decimal(s)
	if !ok || v*factor > 1e12 {
		return fmt.Errorf("%q is not a count: write a number, such as 500, 1k or 1.5k", text)
	}
	*c = Count(v * factor)
	return nil
}

// Share is a part of a whole, 0 to 1, written in per cent: 50%, 0.1%.
type Share float64

// F returns the value as a float64 between 0 and 1.
func (s Share) F() float64 { return float64(s) }

// String writes the share in per cent. It moves the point of the shortest decimal by two places instead of multiplying, so that 7% is
// not printed as 7.000000000000001%.
func (s Share) String() string {
	whole, part, _ := strings.Cut(strconv.FormatFloat(float64(s), 'f', -1, 64), ".")
	for len(part) < 2 {
		part += "0"
	}
	text := strings.TrimLeft(whole+part[:2], "0")
	if text == "" {
		text = "0"
	}
	if part = strings.TrimRight(part[2:], "0"); part != "" {
		text += "." + part
	}
	return text + "%"
}

// MarshalText implements encoding.TextMarshaler.
func (s Share) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a share in per cent; the sign is required.
func (s *Share) UnmarshalText(text []byte) error {
	number, found := strings.CutSuffix(string(text), "%")
	positive := strings.TrimPrefix(number, "-")
	if _, ok := decimal(positive); !found || !ok {
		return fmt.Errorf("%q is not a share: write a number with its sign, such as 50%% or 0.1%%", text)
	}
	v, err := strconv.ParseFloat(positive+"e-2", 64) // exact where dividing by 100 would round twice
	if err != nil || v > 1 || positive != number {
		return fmt.Errorf("%q is outside 0%% to 100%%", text)
	}
	*s = Share(v)
	return nil
}

// decimal reads digits with at most one point between them: no sign, no exponent, no spelling that only a program would write.
func decimal(s string) (float64, bool) {
	whole, part, point := strings.Cut(s, ".")
	if !digits(whole) || point && !digits(part) {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
