package telemetry

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseTrace(t *testing.T) {
	const id, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	good := map[string]byte{
		"00-" + id + "-" + span + "-01":        1,
		"00-" + id + "-" + span + "-00":        0,
		"00-" + id + "-" + span + "-ff":        0xff,
		"cc-" + id + "-" + span + "-01":        1, // a later version, as short as this one
		"cc-" + id + "-" + span + "-01-future": 1, // or longer
	}
	for field, flags := range good {
		trace, ok := ParseTrace([]byte(field))
		require.True(t, ok, field)
		require.True(t, trace.Valid)
		require.Equal(t, flags, trace.Flags)
		require.Equal(t, byte(0x0a), trace.TraceID[0])
		require.Equal(t, byte(0x31), trace.SpanID[7])
	}
	for name, field := range map[string]string{
		"empty":                      "",
		"upper case":                 "00-" + strings.ToUpper(id) + "-" + span + "-01",
		"upper case flags":           "00-" + id + "-" + span + "-0A",
		"zero trace":                 "00-" + strings.Repeat("0", 32) + "-" + span + "-01",
		"zero span":                  "00-" + id + "-" + strings.Repeat("0", 16) + "-01",
		"version ff":                 "ff-" + id + "-" + span + "-01",
		"version 00 with more":       "00-" + id + "-" + span + "-01-x",
		"version 00 with a dash":     "00-" + id + "-" + span + "-01-",
		"later version without dash": "cc-" + id + "-" + span + "-01x",
		"not hexadecimal":            "00-" + id[:31] + "g-" + span + "-01",
		"short":                      "00-" + id + "-" + span + "-0",
		"other separators":           "00_" + id + "_" + span + "_01",
		"blank in front":             " 00-" + id + "-" + span + "-01",
	} {
		_, ok := ParseTrace([]byte(field))
		require.False(t, ok, name)
	}
}

func TestTraceIsStartedAndContinued(t *testing.T) {
	a, b := StartTrace(), StartTrace()
	require.NotEqual(t, a.TraceID, b.TraceID)
	require.Equal(t, byte(1), a.Flags)
	back, ok := ParseTrace(AppendTrace(nil, a))
	require.True(t, ok)
	require.Equal(t, a, back)
	next := ContinueTrace(a)
	require.Equal(t, a.TraceID, next.TraceID)
	require.NotEqual(t, a.SpanID, next.SpanID)
	a.Flags = 0xfe
	require.Zero(t, ContinueTrace(a).Flags, "flags that version 00 does not know")
}

func FuzzParseTrace(f *testing.F) {
	f.Add([]byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
	f.Add([]byte("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what"))
	f.Fuzz(func(t *testing.T, field []byte) {
		trace, ok := ParseTrace(field)
		if !ok {
			if trace.Valid {
				t.Fatal("not a context, yet valid")
			}
			return
		}
		again, ok := ParseTrace(AppendTrace(nil, trace))
		if !ok || again != trace {
			t.Fatalf("%q was read as %v, written and read as %v", field, trace, again)
		}
	})
}
