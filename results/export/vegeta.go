package export

import (
	"fmt"
	"io"
	"iter"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// Sample is one request as it happened. Records keep histograms and no samples, so these come from whoever still has them.
type Sample struct {
	Seq      uint64
	Due      time.Duration // since the start of the trial
	Done     time.Duration
	Status   uint16
	Sent     uint64 // body bytes
	Received uint64
	Err      string // "" for none
	Method   string
	URL      string
}

// Vegeta writes samples in vegeta's own encoding, which `vegeta report`, `vegeta plot` and `vegeta encode` read. The timestamp is
// when the request was due and the latency counts from there, so that the response time keeps what vegeta's own attack leaves
// out: the wait for a worker.
func Vegeta(w io.Writer, name string, started time.Time, samples iter.Seq[Sample]) error {
	encode := vegeta.NewEncoder(w)
	for s := range samples {
		r := vegeta.Result{Attack: name, Seq: s.Seq, Code: s.Status, Timestamp: started.Add(s.Due), Latency: s.Done - s.Due,
			BytesOut: s.Sent, BytesIn: s.Received, Error: s.Err, Method: s.Method, URL: s.URL}
		if err := encode.Encode(&r); err != nil {
			return fmt.Errorf("writing vegeta results: %w", err)
		}
	}
	return nil
}
