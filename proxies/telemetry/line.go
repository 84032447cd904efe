package telemetry

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode/utf8"

	"crossroads/proxies/exchange"
)

// maxLogged bounds what of a client's input stands in one field of a line, in bytes.
const maxLogged = 1024

// AppendLine writes the access log's line for a finished exchange. Times are in microseconds; overhead is the time in the proxy
// alone. The query is left out: it may hold credentials. chain names the one
// that served, where a proxy has several; stages are its stages, for the ledger of sampled exchanges.
func AppendLine(dst []byte, chain string, x *exchange.Exchange, end exchange.End, took time.Duration, stages []exchange.Stage) []byte {
	dst = append(dst, `{"time":"`...)
	dst = x.Start.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	dst = append(dst, '"')
	if chain != "" {
		dst = text(dst, "chain", chain)
	}
	dst = text(dst, "id", x.ID)
	if x.Trace.Valid {
		dst = append(dst, `,"trace":"`...)
		dst = hex.AppendEncode(dst, x.Trace.TraceID[:])
		dst = append(dst, '"')
	}
	dst = text(dst, "method", x.Request.Header.Method())
	dst = text(dst, "host", x.Request.Header.Host())
	dst = text(dst, "path", x.Path)
	dst = number(dst, "status", int64(x.Response.StatusCode()))
	dst = text(dst, "reason", reason(x, end))
	if x.Route != nil {
		dst = text(dst, "route", x.Route.Name)
	}
	dst = peer(dst, x)
	dst = upstreamSide(dst, x, took)
	dst = number(dst, "received_bytes", x.Received)
	dst = number(dst, "sent_bytes", x.Sent)
	if x.Ledger.On {
		dst = ledger(dst, x, stages)
	}
	return append(dst, '}', '\n')
}

// AppendRefusal writes the line of a request that could not be read: nothing in it is believed, so only who sent it and why it was
// refused stand there.
func AppendRefusal(dst []byte, at time.Time, peer exchange.Peer, f *exchange.Fault) []byte {
	dst = append(dst, `{"time":"`...)
	dst = at.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	dst = append(dst, '"')
	dst = number(dst, "status", int64(f.Status))
	dst = text(dst, "reason", f.Reason)
	dst = append(dst, `,"client":"`...)
	if peer.Client.IsValid() {
		dst = peer.Client.AppendTo(dst)
	}
	return append(dst, '"', '}', '\n')
}

// reason is one word: the fault's, how the exchange ended if it broke, or ok.
func reason(x *exchange.Exchange, end exchange.End) string {
	switch {
	case x.Fault != nil:
		return x.Fault.Reason
	case end == exchange.Complete || end == exchange.TunnelClosed:
		return "ok"
	}
	return end.String()
}

func peer(dst []byte, x *exchange.Exchange) []byte {
	dst = append(dst, `,"client":"`...)
	if x.Peer.Client.IsValid() {
		dst = x.Peer.Client.AppendTo(dst)
	}
	dst = append(dst, '"')
	if x.Peer.ID != "" {
		dst = text(dst, "peer", x.Peer.ID)
	}
	if x.Consumer.Name != "" {
		dst = text(dst, "consumer", x.Consumer.Name)
	}
	return dst
}

func upstreamSide(dst []byte, x *exchange.Exchange, took time.Duration) []byte {
	dst = micros(dst, "duration_us", took)
	dst = micros(dst, "overhead_us", max(0, took-x.Upstream))
	dst = micros(dst, "upstream_us", x.Upstream)
	dst = number(dst, "attempts", int64(x.Attempts))
	if x.Endpoint != "" {
		dst = text(dst, "endpoint", x.Endpoint)
	}
	return dst
}

func ledger(dst []byte, x *exchange.Exchange, stages []exchange.Stage) []byte {
	dst = append(dst, `,"stages_us":{`...)
	for i, s := range stages {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s.Name())
		dst = append(dst, ':')
		dst = appendMicros(dst, time.Duration(x.Ledger.Stages[i]))
	}
	return append(dst, '}')
}

func key(dst []byte, name string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

func text[S string | []byte](dst []byte, name string, value S) []byte {
	return appendString(key(dst, name), value)
}

func number(dst []byte, name string, value int64) []byte {
	return strconv.AppendInt(key(dst, name), value, 10)
}

func micros(dst []byte, name string, d time.Duration) []byte { return appendMicros(key(dst, name), d) }

func appendMicros(dst []byte, d time.Duration) []byte {
	return strconv.AppendFloat(dst, float64(d)/1e3, 'f', 1, 64)
}

// appendString writes a JSON string (RFC 8259 7). What is not UTF-8 becomes U+FFFD, as encoding/json does.
func appendString[S string | []byte](dst []byte, s S) []byte {
	const hexDigits = "0123456789abcdef"
	if len(s) > maxLogged {
		s = s[:maxLogged]
	}
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20 || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, size := decodeRune(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		i++
	}
	return append(dst, '"')
}

func decodeRune[S string | []byte](s S) (rune, int) {
	var b [utf8.UTFMax]byte
	n := copy(b[:], s)
	return utf8.DecodeRune(b[:n])
}
