package parity

import (
	"context"
	"net/http"

	"crossroads/harness/deploy"
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
	c.saw("answers", "forwarding", "every declared request", "the status and the body that the application itself gives")
	return each(c.single(), func(one asked) []string {
		return each(tried, func(seq int) []string { return c.answersTo(ctx, one, seq) })
	})
}

func (c *checker) answersTo(ctx context.Context, declared asked, seq int) []string {
	entries := c.entriesOf(declared.service)
	if len(entries) == 0 {
		return one("the deployment has no entry to %s", declared.service)
	}
	want := answer{status: http.StatusOK}
	if !c.external() {
		var found []string
		if want, found = c.expected(ctx, declared, seq); found != nil {
			return found
		}
	}
	return each(entries, func(entry deploy.Entry) []string {
		what := method(declared.Request) + " " + declared.Path
		got, err := c.ask(ctx, entry.URL, declared.Request, seq)
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
func (c *checker) expected(ctx context.Context, declared asked, seq int) (answer, []string) {
	base, known := c.origin(declared.service)
	if !known {
		return answer{}, one("the deployment lists no process of the service %s to compare with", declared.service)
	}
	want, err := c.ask(ctx, base, declared.Request, seq)
	if err != nil {
		return answer{}, one("%s %s at the origin itself: %v", method(declared.Request), declared.Path, err)
	}
	size := int(c.arm.Experiment.Application.Services.At(declared.service).Response.Size)
	if want.status == http.StatusOK && len(want.body) != size {
		return answer{}, one("the origin itself answers %s with %d bytes where %d are declared", declared.Path, len(want.body), size)
	}
	return want, nil
}
