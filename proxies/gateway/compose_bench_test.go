package gateway

import (
	"bytes"
	"testing"
)

const composedPage = `routes:
  - {name: all, match: [{path: {prefix: /a}}], backends: [{upstream: u0}]}
  - {name: page, match: [{path: {exact: /page}}], compose: {parts: {x: {upstream: u0, path: /x}, y: {upstream: u0, path: /y}, z: {upstream: u0, path: /z}}}}
`

// Each operation of both is three requests to the origin: by one client one after the other, and composed. A client that makes its calls
// at once pays what the first line says three times over for the gateway's work, only sooner.
func BenchmarkComposing(b *testing.B) {
	for _, c := range []struct {
		name  string
		path  string
		times int
	}{{"three calls", "/a/b", 3}, {"composed", "/page", 1}} {
		b.Run(c.name, func(b *testing.B) {
			client := routed(b, composedPage)
			client.request = bytes.Replace(client.request, []byte("/a/b"), []byte(c.path), 1)
			b.ReportAllocs()
			before := processCPU()
			for b.Loop() {
				for range c.times {
					client.call(b)
				}
			}
			b.ReportMetric(float64(processCPU()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}
