package strict_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

func TestMarshalReadsBack(t *testing.T) {
	share, none := units.Share(0.25), units.Share(0)
	h := house{
		Version: 1, Name: "#x: y", Door: door{Closes: 0}, Attic: &room{}, Heights: []float64{0, -1.5, 1e300}, Guests: counts{1, 2},
		Open: true, Seed: 1 << 63, Small: -3,
	}
	h.Rooms.Set("z", room{Area: 12, Share: &share, Rooms: []room{{}, {Area: 12}, {Mode: mode{"on", 4}, Rooms: []room{{Share: &none}}}}})
	h.Rooms.Set("<<", room{Area: 0})
	for _, s := range []string{"", " ", "a b", "a  b", "- a", "a: b", "a #b", "#", "true", "Null", "~", "010", "1e3", "-", "?", "&a", "*a", "!t",
		"|", ">", "%", "@", "`", "'", `"`, `\`, "a\nb", "\t", "\u0085", "\u2028", "é", "\U0001F600", "[a]", "{a}", "a,b", "on", "..", "...", "---",
		"2001-01-01", ".5", "=", "<<", "a ", "\x7f", "\u0000", "a:", ":a", "0x1f", "12:30:00", strings.Repeat("word ", 100)} {
		h.Labels.Set(s, s)
	}
	data, err := strict.Marshal(&h)
	require.NoError(t, err)
	var back house
	_, err = strict.Decode("f", data, &back)
	require.NoError(t, err, string(data))
	require.Equal(t, h, back, string(data))
	again, err := strict.Marshal(back)
	require.NoError(t, err)
	require.Equal(t, string(data), string(again), "stable bytes")
}

func TestMarshalLeavesOutWhatIsDefault(t *testing.T) {
	h := house{Version: 1, Door: door{Closes: 5e9}}
	data, err := strict.Marshal(h)
	require.NoError(t, err)
	require.Equal(t, "version: 1\ndoor:\n  closes: 5s\n", string(data))

	data, err = strict.Marshal(house{Guests: counts{3}, Rooms: func() (m strict.Map[room]) { m.Set("a", room{}); m.Set("b", room{Mode: mode{Word: "off"}}); return }()})
	require.NoError(t, err)
	require.Equal(t, `version: 0
door:
  closes: 0s
rooms:
  a:
    area: 0
  b:
    area: 0
    mode: off
guests: 3
`, "version: 0\n"+string(data))
}

func TestMarshalRefusesWhatHasNoSpelling(t *testing.T) {
	for _, v := range []any{house{Name: "\xff"}, house{Heights: []float64{1, inf()}}, (*house)(nil)} {
		_, err := strict.Marshal(v)
		require.Error(t, err)
	}
}

func inf() float64 { x := 1e308; return x * 10 }

// FuzzDecode: no input panics; what was read without a fault is written and read back as the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(full))
	for _, s := range []string{
		"version: 1\n", "a: &a [*a]\n", "rooms: {a: &x {area: 1}, b: {<<: *x}}", "labels: {a: |\n  text\n}", "labels:\n  a: >-\n    b\n    c\n",
		"? a\n: b\n", "--- \n...\n", "%YAML 1.2\n---\nversion: 1\n", "{", "[", "\"", "'", "a: 'b''c'", "labels: {\"\\x41\": \"\\u00e9\\\n x\"}",
		"name: !!binary aGk=\n", "attic:\n- a\n", "guests: [1,2,]\n", "\t", "- - - a", "{a, b}", "<<: {version: 1}", "\"<<\": {version: 1}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var h house
		doc, err := strict.Decode("fuzz.yaml", data, &h)
		if err != nil {
			require.NotEmpty(t, err.Error())
			for _, fault := range err.(strict.Faults) {
				require.Positive(t, fault.Line)
				require.Positive(t, fault.Column)
			}
			return
		}
		doc.Fault("$.rooms.a[0].b", "x")
		out, err := strict.Marshal(&h)
		require.NoError(t, err)
		var back house
		_, err = strict.Decode("back.yaml", out, &back)
		require.NoError(t, err, string(out))
		require.Equal(t, h, back, string(out))
	})
}
