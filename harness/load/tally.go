package load

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"crossroads/results"
)

// inTime is how long after the end of the block a sample of the block may still be taken up and count as sent.
const inTime = 10 * time.Millisecond

// Block is the measured stretch of a trial. A sample belongs to it if it is due in it, whenever it is done.
type Block struct{ From, To time.Duration }

func (b Block) holds(d time.Duration) bool { return d >= b.From && d < b.To }

// Tally is the recorder of the harness: histograms and counts of the samples due in the block, and enough of all others to draw the
// trial second by second. A tally belongs to one worker; the tallies of a trial are merged at its end.
type Tally struct {
	block    Block
	counts   results.Counts
	errors   map[*Error]*int64
	statuses [600]int64
	response *hdrhistogram.Histogram
	service  *hdrhistogram.Histogram
	slip     *hdrhistogram.Histogram
	wait     *hdrhistogram.Histogram
	ledger   *ledger
	third    int64   // ns of samples outstanding in the third quarter of the block
	last     int64   // and in the last
	points   []point // of the whole trial by sequence number, shared by its tallies: each writes its own
}

// point is what the series of seconds needs of a sample.
type point struct {
	response, slip int64 // ns
	state          pointState
}

type pointState uint8

const (
	absent pointState = iota
	success
	failure
	declared // a failure that the application was told to make
)

// NewTallies makes the recorders of n workers for one schedule.
func NewTallies(n int, s Schedule, b Block) []*Tally {
	points := make([]point, len(s))
	for i := range points {
		points[i].slip = 0 // touches the memory, so that no page is first needed while measuring
	}
	tallies := make([]*Tally, n)
	for i := range tallies {
		t := &Tally{block: b, points: points, ledger: newLedger(), errors: map[*Error]*int64{}}
		for _, e := range Errors() {
			t.errors[e] = new(int64)
		}
		for _, h := range []**hdrhistogram.Histogram{&t.response, &t.service, &t.slip, &t.wait} {
			*h = results.NewTimes()
		}
		tallies[i] = t
	}
	return tallies
}

// Record implements Recorder.
func (t *Tally) Record(s Sample) {
	p := &t.points[s.Seq]
	p.response, p.slip, p.state = int64(s.Response()), int64(s.Slip()), success
	if s.Err != nil {
		p.state = failure
		if s.Declared {
			p.state = declared
		}
	}
	third := t.block.From + (t.block.To-t.block.From)/2
	last := t.block.From + (t.block.To-t.block.From)*3/4
	t.third += overlap(s.Due, s.Done, third, last)
	t.last += overlap(s.Due, s.Done, last, t.block.To)
	if !t.block.holds(s.Due) {
		return
	}
	if s.Ready < t.block.To+inTime {
		t.counts.Ready++
	}
	if s.Waited {
		t.counts.Waited++
	}
	t.counts.Requests += int64(s.Requests)
	t.counts.Bytes += s.Bytes
	if s.Status > 0 && s.Status < len(t.statuses) {
		t.statuses[s.Status]++
	}
	record(t.slip, s.Slip())
	if s.Err != nil {
		t.fail(s)
		return
	}
	t.counts.Done++
	record(t.response, s.Response())
	record(t.service, s.Service())
	record(t.wait, s.Wait())
	if len(s.Timing) > 0 {
		t.ledger.take(s.Timing, s.Service())
	}
}

func (t *Tally) fail(s Sample) {
	t.counts.Errors++
	if s.Declared {
		t.counts.Declared++
	}
	class, ok := s.Err.(*Error)
	if !ok || t.errors[class] == nil {
		class = ErrProtocol
	}
	*t.errors[class]++
}

// record puts a time into its histogram; what is out of range goes to the range's end, so that no count is lost.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(0, int64(d)), results.HighestTime))
}

// overlap is the part of [from, to) that lies in [a, b).
func overlap(from, to, a, b time.Duration) int64 {
	return int64(max(0, min(to, b)-max(from, a)))
}

// merge brings the tallies of all workers together as a Result. Planned counts come from the schedule, so that a sample nobody
// recorded is missing from it for all to see.
func merge(tallies []*Tally, s Schedule) (*Result, error) {
	whole := NewTallies(1, nil, tallies[0].block)[0]
	for _, t := range tallies {
		if err := whole.add(t); err != nil {
			return nil, err
		}
	}
	for _, a := range s {
		if whole.block.holds(a.Due) {
			whole.counts.Planned++
		}
	}
	r := &Result{Counts: whole.counts, Errors: map[string]int64{}, Statuses: map[string]int64{}, Times: map[string]results.Histogram{}}
	for e, n := range whole.errors {
		if *n > 0 {
			r.Errors[e.Class] = *n
		}
	}
	for status, n := range whole.statuses {
		if n > 0 {
			r.Statuses[strconv.Itoa(status)] = n
		}
	}
	for name, h := range whole.histograms() {
		var err error
		if r.Times[name], err = results.Encode(h); err != nil {
			return nil, fmt.Errorf("the histogram of %s times: %w", name, err)
		}
	}
	var err error
	if r.Ledger, err = whole.ledger.result(); err != nil {
		return nil, err
	}
	quarter := float64(whole.block.To-whole.block.From) / 4
	r.Driver.InFlightMid = int64(math.Round(float64(whole.third) / quarter))
	r.Driver.InFlightEnd = int64(math.Round(float64(whole.last) / quarter))
	r.Seconds = seconds(s, tallies[0].points, whole.block)
	r.Windows = windows(s, tallies[0].points, whole.block)
	return r, nil
}

func (t *Tally) histograms() map[string]*hdrhistogram.Histogram {
	return map[string]*hdrhistogram.Histogram{
		results.Response: t.response, results.Service: t.service, results.Slip: t.slip, results.WaitTime: t.wait,
	}
}

func (t *Tally) add(o *Tally) error {
	t.counts.Ready += o.counts.Ready
	t.counts.Done += o.counts.Done
	t.counts.Errors += o.counts.Errors
	t.counts.Declared += o.counts.Declared
	t.counts.Waited += o.counts.Waited
	t.counts.Requests += o.counts.Requests
	t.counts.Bytes += o.counts.Bytes
	t.third += o.third
	t.last += o.last
	for e, n := range o.errors {
		*t.errors[e] += *n
	}
	for i, n := range o.statuses {
		t.statuses[i] += n
	}
	if err := t.ledger.add(o.ledger); err != nil {
		return err
	}
	from := o.histograms()
	for name, h := range t.histograms() {
		if dropped := h.Merge(from[name]); dropped != 0 {
			return fmt.Errorf("merging the histograms of %s times dropped %d values", name, dropped)
		}
	}
	return nil
}

// seconds cuts the trial into seconds from the beginning of the block; samples count where they are due. Quantiles are exact.
func seconds(s Schedule, points []point, b Block) []results.Second {
	if len(s) == 0 {
		return nil
	}
	at := func(d time.Duration) int { return int(math.Floor((d - b.From).Seconds())) }
	first, last := at(0), max(at(b.To-1), at(s[len(s)-1].Due))
	var series []results.Second
	next := 0
	for second := first; second <= last; second++ {
		out := results.Second{At: second}
		var response, slip []int64
		for ; next < len(s) && at(s[next].Due) == second; next++ {
			switch p := points[next]; p.state {
			case success:
				out.Done++
				response = append(response, p.response)
				slip = append(slip, p.slip)
			case failure, declared:
				out.Errors++
				slip = append(slip, p.slip)
			}
		}
		slices.Sort(response)
		slices.Sort(slip)
		out.P50, out.P99, out.Slip99 = quantile(response, 0.5), quantile(response, 0.99), quantile(slip, 0.99)
		series = append(series, out)
	}
	return series
}

// quantile is the smallest value that at least a share q of the sorted values does not exceed; 0 of none.
func quantile(sorted []int64, q float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
