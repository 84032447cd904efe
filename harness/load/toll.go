package load

import (
	"slices"
	"strconv"
	"time"

	"crossroads/results"
)

// toll adds the stretches and the moments of a job to its result, from what the tallies kept of every sample.
func (j Job) toll(r *Result, s Schedule, points []point) error {
	if len(j.Stretches) == 0 {
		return nil
	}
	r.Moments = j.moments(s, points)
	for _, stretch := range j.Stretches {
		t, err := j.tollOf(stretch, s, points)
		if err != nil {
			return err
		}
		r.Tolls = append(r.Tolls, t)
	}
	return nil
}

// tollOf counts one stretch. Entries are named by their place among those of the target.
func (j Job) tollOf(stretch Block, s Schedule, points []point) (results.Toll, error) {
	var t results.Toll
	times := results.NewTimes()
	entries := make([]results.EntryToll, len(j.Target.Entries))
	for i := range entries {
		entries[i].Entry = strconv.Itoa(i)
	}
	for seq, a := range s {
		if !stretch.holds(a.Due - j.Warmup) {
			continue
		}
		e := &entries[seq%len(entries)]
		p := points[seq]
		t.Count, e.Count = j.count(t.Count, p), j.count(e.Count, p)
		if p.state == success {
			record(times, time.Duration(p.response))
		}
	}
	if len(entries) > 1 && !j.composes() {
		t.Entries = entries
	}
	encoded, err := results.Encode(times)
	t.Times = &encoded
	return t, err
}

// composes says that a request may go to other entries than its sequence number says.
func (j Job) composes() bool {
	return slices.ContainsFunc(j.Target.Requests, func(r Request) bool { return len(r.Calls) > 0 })
}

// count adds one sample.
func (j Job) count(c results.Count, p point) results.Count {
	c.Due++
	switch p.state {
	case success:
		c.Done++
		if j.slow(p) {
			c.Slow++
		}
	case declared:
		c.Declared++
		c.Errors++
	case failure:
		c.Errors++
	}
	return c
}

func (j Job) slow(p point) bool {
	return j.Slow > 0 && p.state == success && p.response > int64(j.Slow)
}

func (j Job) moments(s Schedule, points []point) *results.Moments {
	m := &results.Moments{Length: results.MomentLength(int64(j.Duration)), Slow: int64(j.Slow)}
	m.Series = make([]results.Moment, (int64(j.Duration)+m.Length-1)/m.Length)
	for seq, a := range s {
		if !j.block().holds(a.Due) {
			continue
		}
		due := int64(a.Due - j.Warmup)
		w, p := &m.Series[due/m.Length], points[seq]
		w.Count = j.count(w.Count, p)
		if j.slow(p) || p.state == failure || p.state == absent {
			if w.First == 0 {
				w.First = due
			}
			w.Last = due
		}
	}
	return m
}
