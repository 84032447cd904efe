package harness

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"crossroads/results"
)

// bar draws one bar for the run and keeps notes and troubled trials above it.
type bar struct {
	w       io.Writer
	screen  *mpb.Progress
	bar     *mpb.Bar
	plan    results.Plan
	missing []results.PlannedTrial
	done    int
	now     atomic.Pointer[string] // read by the refreshing goroutine
}

func (b *bar) Begin(plan results.Plan, missing []results.PlannedTrial) {
	b.plan, b.missing = plan, missing
	b.say("starting")
	b.screen = mpb.New(mpb.WithOutput(b.w), mpb.WithWidth(40), mpb.WithRefreshRate(500*time.Millisecond))
	b.bar = b.screen.AddBar(int64(len(missing)),
		mpb.PrependDecorators(decor.CountersNoUnit("%d/%d trials ")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + *b.now.Load() })))
}

// say replaces what stands beside the bar.
func (b *bar) say(what string) {
	left := remaining(b.plan, b.missing[min(b.done, len(b.missing)):])
	text := fmt.Sprintf("%s, %s left", what, left)
	b.now.Store(&text)
}

func (b *bar) Deploy(t results.PlannedTrial) {
	b.say(fmt.Sprintf("round %d: deploying %s", t.Round, t.Arm))
}
func (b *bar) Start(t results.PlannedTrial) {
	b.say(fmt.Sprintf("round %d: %s at %g/s", t.Round, t.Arm, t.Rate))
}

func (b *bar) Done(t results.Trial) {
	b.done++
	b.bar.Increment()
	if t.Outcome != results.Valid {
		b.Note(fmt.Sprintf("round %d, %s at %g/s: %s", t.Round, t.Arm, t.Rate, describeOutcome(t)))
	}
}

func (b *bar) Note(text string) { fmt.Fprintln(b.screen, "note:", text) }

func (b *bar) End() {
	if !b.bar.Completed() {
		b.bar.Abort(false)
	}
	b.screen.Wait()
}
