package gateway

import (
	"net/http"
	"strconv"

	"crossroads/proxies/exchange"
)

// quotaExceeded is the problem type that draft-ietf-httpapi-ratelimit-headers defines for 429.
const quotaExceeded = "https://iana.org/assignments/http-problem-types#quota-exceeded"

// writeProblem answers with a fault as application/problem+json (RFC 9457); reason is the word that the log and metrics use. Nothing
// in it comes from the client, and configured names hold no quotes (config checks that), so it needs no escaping.
func writeProblem(x *exchange.Exchange, f *exchange.Fault) {
	b := make([]byte, 0, 256)
	b = append(b, `{"type":"`...)
	if f.Status == http.StatusTooManyRequests {
		b = append(b, quotaExceeded...)
	} else {
		b = append(b, "about:blank"...)
	}
	b = append(b, `","title":"`...)
	b = append(b, http.StatusText(f.Status)...)
	b = append(b, `","status":`...)
	b = strconv.AppendInt(b, int64(f.Status), 10)
	b = append(b, `,"reason":"`...)
	b = append(b, f.Reason...)
	if f.Detail != "" {
		b = append(b, `","detail":`...)
		b = strconv.AppendQuoteToASCII(b, f.Detail)
	} else {
		b = append(b, '"')
	}
	if x.Limit.Denied {
		b = append(b, `,"violated-policies":["`...)
		b = append(b, x.Limit.Policy...)
		b = append(b, `"]`...)
	}
	b = append(b, "}\n"...)
	x.Response.SetStatusCode(f.Status)
	x.Response.Header.SetContentType("application/problem+json")
	x.Response.SetBodyRaw(b)
}
