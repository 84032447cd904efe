package telemetry

import (
	"strconv"
	"time"

	"crossroads/proxies/exchange"
)

// AppendServerTiming writes a Server-Timing field value (https://www.w3.org/TR/server-timing/) for a sampled exchange: the time in
// this proxy so far, the wait for the upstream, and each stage on the way in, in milliseconds.
func AppendServerTiming(dst []byte, proxy string, x *exchange.Exchange, sofar time.Duration, stages []exchange.Stage) []byte {
	dst = metric(dst, proxy, max(0, sofar-x.Upstream))
	dst = append(dst, ", "...)
	dst = metric(dst, proxy+"-upstream", x.Upstream)
	for i, s := range stages {
		if x.Ledger.Stages[i] > 0 {
			dst = append(dst, ", "...)
			dst = append(dst, proxy...)
			dst = append(dst, '-')
			dst = metric(dst, s.Name(), time.Duration(x.Ledger.Stages[i]))
		}
	}
	return dst
}

func metric(dst []byte, name string, d time.Duration) []byte {
	dst = append(dst, name...)
	dst = append(dst, ";dur="...)
	return strconv.AppendFloat(dst, float64(d)/1e6, 'f', 4, 64)
}
