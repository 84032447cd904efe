package telemetry

import (
	"bytes"
	"strconv"
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// A Server-Timing field (https://www.w3.org/TR/server-timing/) tells a sampled exchange in milliseconds, each metric as PROXY.WHAT:
//
//	own      all of this proxy's time but what it spent in system calls or waiting
//	wait     what it spent so, upstream and for the request's body
//	read     of own: opening the record that brought the head's end, and reading the head
//	forward  of own: behind the chain, without the wait
//	write    of own: from the head of the chain to the system call that writes the answer
//
// and of own what each stage took, by its word. The parts come to own. A field is a part of the head that is being written, so own and
// write are left blank until the very end: FillServerTiming puts them in. What comes after it, sealing the answer's record where the
// connection is TLS, is told by nobody (BenchmarkSeal prints it).

const (
	blank      = "??????????"
	blankOwn   = ".own;dur=" + blank
	blankWrite = ".write;dur=" + blank
)

// AppendServerTiming appends the field's value, with the blanks.
func AppendServerTiming(dst []byte, proxy string, x *exchange.Exchange, stages []exchange.Stage) []byte {
	l := &x.Ledger
	dst = append(append(dst, proxy...), blankOwn...)
	dst = also(dst, proxy, "wait", l.Waited)
	dst = also(dst, proxy, "read", l.Read)
	dst = also(dst, proxy, "forward", l.Upstream-l.Waited)
	l.Told = max(0, l.Read) + max(0, l.Upstream-l.Waited)
	for i, s := range stages {
		dst = also(dst, proxy, s.Name(), l.Stages[i])
		l.Told += l.Stages[i]
	}
	dst = append(dst, ", "...)
	return append(append(dst, proxy...), blankWrite...)
}

// FillServerTiming fills the blanks of a head that is about to be written, where there are any.
func FillServerTiming(head []byte, x *exchange.Exchange) {
	if !x.Ledger.On || x.Ledger.Told == 0 {
		return
	}
	own := x.Own(wire.Now())
	fill(head, blankOwn, own)
	fill(head, blankWrite, max(0, own-time.Duration(x.Ledger.Told)))
}

// fill puts a time in the place of a blank, with spaces behind it, which the list's grammar allows (RFC 9110 5.6.1).
func fill(head []byte, what string, d time.Duration) {
	i := bytes.Index(head, []byte(what))
	if i < 0 {
		return
	}
	var room [32]byte
	space := head[i+len(what)-len(blank) : i+len(what)]
	n := copy(space, millis(room[:0], d))
	copy(space[n:], "          ")
}

// also appends a metric that took any time.
func also(dst []byte, proxy, what string, ns int64) []byte {
	if ns <= 0 {
		return dst
	}
	dst = append(append(append(dst, ", "...), proxy...), '.')
	dst = append(append(dst, what...), ";dur="...)
	return millis(dst, time.Duration(ns))
}

func millis(dst []byte, d time.Duration) []byte {
	return strconv.AppendFloat(dst, float64(d)/1e6, 'f', 4, 64)
}
