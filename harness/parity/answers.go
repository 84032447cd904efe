package parity

import (
	"context"
	"net/http"

	"crossroads/harness/deploy"
	"crossroads/topologies"
)

// sequences are the sequence numbers tried: more than one, so that a proxy which answers from memory is seen.
var sequences = []int{0, 1}

// answers holds every declared request, at every entry, against what the origin answers to it past all proxies: same status, same
// body. The origin itself must give the declared size. Of an external system only a success can be asked.
func (c *checker) answers(ctx context.Context) []string {
	if len(c.requests) == 0 {
		return one("the experiment declares no request")
	}
	tried := sequences
	if c.external() {
		tried = tried[:1] // there is nothing to compare a second one with
	}
	return each(c.requests, func(declared topologies.Request) []string {
		return each(tried, func(seq int) []string { return c.answersTo(ctx, declared, seq) })
	})
}

func (c *checker) answersTo(ctx context.Context, declared topologies.Request, seq int) []string {
	want := answer{status: http.StatusOK}
	if !c.external() {
		var found []string
		if want, found = c.expected(ctx, declared, seq); found != nil {
			return found
		}
	}
	return each(c.deployment.Entries(), func(entry deploy.Entry) []string {
		what := method(declared) + " " + declared.Path
		got, err := c.ask(ctx, entry.URL, declared, seq)
		switch {
		case err != nil:
			return one("%s at %s: %v", what, entry.Name, err)
		case c.external() && (got.status < 200 || got.status > 299):
			return one("%s at %s: answered %d: %s", what, entry.Name, got.status, shorten(got.body))
		case c.external():
			return nil
		case got.status != want.status:
			return one("%s at %s: answered %d where the origin itself answers %d: %s", what, entry.Name, got.status, want.status, shorten(got.body))
		case len(got.body) != len(want.body):
			return one("%s at %s: a body of %d bytes where the origin's own has %d", what, entry.Name, len(got.body), len(want.body))
		case got.hash() != want.hash():
			return one("%s at %s: a body that hashes to %s where the origin's own hashes to %s", what, entry.Name, got.hash(), want.hash())
		}
		return nil
	})
}

// expected is the origin's own answer. A failure that the application declares is an answer like any other.
func (c *checker) expected(ctx context.Context, declared topologies.Request, seq int) (answer, []string) {
	base, known := c.origin()
	if !known {
		return answer{}, one("the deployment lists no process of the entry service to compare with")
	}
	want, err := c.ask(ctx, base, declared, seq)
	if err != nil {
		return answer{}, one("%s %s at the origin itself: %v", method(declared), declared.Path, err)
	}
	size := int(c.arm.Experiment.Application.Services.At(c.arm.Experiment.Application.Entry).Response.Size)
	if want.status == http.StatusOK && len(want.body) != size {
		return answer{}, one("the origin itself answers %s with %d bytes where %d are declared", declared.Path, len(want.body), size)
	}
	return want, nil
}
