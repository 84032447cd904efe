package load

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// WriteVegeta writes samples in vegeta's own encoding, which `vegeta report`, `vegeta plot` and `vegeta encode` read. Latency there is
// the response time, from due: the clock of a tool that reads these results must not start when the generator got round to it.
func WriteVegeta(w io.Writer, name string, t Target, start time.Time, s Schedule, samples iter.Seq[Sample]) error {
	encode := vegeta.NewEncoder(w)
	for x := range samples {
		r := t.Requests[s[x.Seq].Request]
		result := vegeta.Result{
			Attack:    name,
			Seq:       uint64(x.Seq),
			Code:      uint16(x.Status),
			Timestamp: start.Add(x.Due),
			Latency:   x.Response(),
			BytesOut:  uint64(len(r.Body)),
			BytesIn:   uint64(x.Bytes),
			Method:    r.Method,
			URL:       strings.TrimSuffix(t.Entries[x.Seq%len(t.Entries)], "/") + r.Path,
		}
		if x.Err != nil {
			result.Error = x.Err.Error()
		}
		if err := encode.Encode(&result); err != nil {
			return fmt.Errorf("encoding sample %d for vegeta: %w", x.Seq, err)
		}
	}
	return nil
}

// keeper is a recorder that also keeps every sample, in memory reserved beforehand.
type keeper struct {
	recorder Recorder
	samples  []Sample
}

func (k *keeper) Record(s Sample) {
	k.recorder.Record(s)
	k.samples = append(k.samples, s)
}

// keepSamples wraps every recorder. Workers share a schedule of n arrivals evenly, to one.
func keepSamples(recorders []Recorder, n int) []*keeper {
	kept := make([]*keeper, len(recorders))
	for i, r := range recorders {
		kept[i] = &keeper{recorder: r, samples: make([]Sample, 0, n/len(recorders)+1)}
		recorders[i] = kept[i]
	}
	return kept
}

// writeSamples writes what was kept to a new file.
func writeSamples(name string, t Target, start time.Time, s Schedule, kept []*keeper) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffered := bufio.NewWriter(f)
	all := func(yield func(Sample) bool) {
		for _, k := range kept {
			for _, x := range k.samples {
				if !yield(x) {
					return
				}
			}
		}
	}
	if err := WriteVegeta(buffered, "crossroads", t, start, s, all); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("samples: writing %s: %w", name, err)
	}
	return nil
}
