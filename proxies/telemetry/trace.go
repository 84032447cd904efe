package telemetry

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"crossroads/proxies/exchange"
)

// TraceparentLength is the length of a traceparent of version 00.
const TraceparentLength = 55

// sampled is the one flag of version 00; this proxy sets it on traces that start here, so that whoever records spans behind it
// may (https://www.w3.org/TR/trace-context/#sampled-flag).
const sampled = 1

// ParseTrace reads a traceparent field (https://www.w3.org/TR/trace-context/#traceparent-header). Whatever is not exactly as
// the recommendation says is no context at all: upper-case digits, zero identifiers, version ff, or more than version 00 allows.
func ParseTrace(field []byte) (exchange.Trace, bool) {
	var t exchange.Trace
	if len(field) < TraceparentLength || field[2] != '-' || field[35] != '-' || field[52] != '-' {
		return t, false
	}
	var version, flags [1]byte
	if !lowerHex(version[:], field[0:2]) || !lowerHex(t.TraceID[:], field[3:35]) ||
		!lowerHex(t.SpanID[:], field[36:52]) || !lowerHex(flags[:], field[53:55]) {
		return exchange.Trace{}, false
	}
	switch {
	case version[0] == 0xff,
		version[0] == 0 && len(field) != TraceparentLength,
		len(field) > TraceparentLength && field[TraceparentLength] != '-',
		t.TraceID == [16]byte{}, t.SpanID == [8]byte{}:
		return exchange.Trace{}, false
	}
	t.Flags, t.Valid = flags[0], true
	return t, true
}

func lowerHex(dst, src []byte) bool {
	for _, c := range src {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	_, err := hex.Decode(dst, src)
	return err == nil
}

// StartTrace makes the context of a request that brought none.
func StartTrace() exchange.Trace {
	t := exchange.Trace{Flags: sampled, Valid: true}
	binary.BigEndian.PutUint64(t.TraceID[:8], rand.Uint64())
	binary.BigEndian.PutUint64(t.TraceID[8:], notZero())
	binary.BigEndian.PutUint64(t.SpanID[:], notZero())
	return t
}

// ContinueTrace makes this proxy the parent of what it calls: the same trace, a span of its own.
func ContinueTrace(t exchange.Trace) exchange.Trace {
	binary.BigEndian.PutUint64(t.SpanID[:], notZero())
	t.Flags &= sampled // the other bits are not known to version 00, which is what AppendTrace writes
	return t
}

func notZero() uint64 {
	for {
		if v := rand.Uint64(); v != 0 {
			return v
		}
	}
}

// AppendTrace writes a traceparent field of version 00.
func AppendTrace(dst []byte, t exchange.Trace) []byte {
	dst = append(dst, "00-"...)
	dst = hex.AppendEncode(dst, t.TraceID[:])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, t.SpanID[:])
	dst = append(dst, '-')
	return hex.AppendEncode(dst, []byte{t.Flags})
}
