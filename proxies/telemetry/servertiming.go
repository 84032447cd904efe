package telemetry

import (
	"strconv"
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/wire"
)

// AppendServerTiming writes a Server-Timing field value (https://www.w3.org/TR/server-timing/) for a sampled exchange, in milliseconds,
// each metric as PROXY.WHAT: own is the time in this proxy up to now, without the wait for the upstream, which is wait; read is of own
// what the request head took, forward what lay behind the chain and was no wait, and each stage has its word.
func AppendServerTiming(dst []byte, proxy string, x *exchange.Exchange, now wire.Instant, stages []exchange.Stage) []byte {
	arrived := x.Arrived
	if arrived == 0 {
		arrived = wire.At(x.Start)
	}
	dst = metric(dst, proxy, "own", time.Duration(max(0, int64(now-arrived)-x.Ledger.Waited)))
	dst = also(dst, proxy, "wait", x.Ledger.Waited)
	dst = also(dst, proxy, "read", int64(wire.At(x.Start)-arrived))
	dst = also(dst, proxy, "forward", x.Ledger.Upstream-x.Ledger.Waited)
	for i, s := range stages {
		dst = also(dst, proxy, s.Name(), x.Ledger.Stages[i])
	}
	return dst
}

// also appends a metric that took any time.
func also(dst []byte, proxy, what string, ns int64) []byte {
	if ns <= 0 {
		return dst
	}
	return metric(append(dst, ", "...), proxy, what, time.Duration(ns))
}

func metric(dst []byte, proxy, what string, d time.Duration) []byte {
	dst = append(dst, proxy...)
	dst = append(dst, '.')
	dst = append(dst, what...)
	dst = append(dst, ";dur="...)
	return strconv.AppendFloat(dst, float64(d)/1e6, 'f', 4, 64)
}
