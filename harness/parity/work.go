package parity

import (
	"context"
	"fmt"

	"crossroads/harness/deploy"
	"crossroads/harness/workload"
)

// work holds what one request makes the application do, through an entry, against the same request at the origin itself: the same
// calls, the same CPU burnt, the same waits drawn, the same sizes. A sequence number that got lost on the way shows here.
func (c *checker) work(ctx context.Context) []string {
	if c.external() {
		return nil
	}
	return each(c.arm.Experiment.Entered(), func(service string) []string {
		base, known := c.origin(service)
		if !known {
			return nil // answers says so
		}
		return each(sequences, func(seq int) []string { return c.workAt(ctx, base, service, seq) })
	})
}

func (c *checker) workAt(ctx context.Context, base, service string, seq int) []string {
	want, found := c.report(ctx, "the origin itself", base, service, seq, "1")
	if found != nil {
		return found
	}
	return each(c.entriesOf(service), func(entry deploy.Entry) []string {
		got, found := c.report(ctx, entry.Name, entry.URL, service, seq, "1")
		if found != nil {
			return found
		}
		return differences(got, want, got.Service, entry.Name)
	})
}

// done is what a node was made to do, without the way on which it was reached.
type done struct {
	Service      string
	Method       string
	Path         string
	Body         int
	Seq          string
	CallPath     string
	Iterations   uint64
	Wait         int64
	Size         int
	Status       int
	CallsInOrder int
}

func doneBy(p *workload.Probe) done {
	return done{p.Service, p.Method, p.Path, p.Body, p.Seq, p.CallPath, p.CPU, p.Wait, p.Size, p.Status, len(p.Calls)}
}

// differences walks both trees at once and stops at the first node that differs on each branch.
func differences(got, want *workload.Probe, trail, entry string) []string {
	if a, b := doneBy(got), doneBy(want); a != b {
		return one("a request at %s made %s do %+v where the origin itself does %+v", entry, trail, a, b)
	}
	var found []string
	for i := range got.Calls {
		g, w := got.Calls[i], want.Calls[i]
		at := trail + " > " + w.To
		switch {
		case g.To != w.To || g.Made != w.Made || (g.Probe == nil) != (w.Probe == nil):
			found = append(found, fmt.Sprintf("at %s the call %s was made %t (%s), at the origin itself %t (%s)", entry, at, g.Made, g.Failed, w.Made, w.Failed))
		case g.Probe != nil:
			found = append(found, differences(g.Probe, w.Probe, at, entry)...)
		}
	}
	return found
}
