// Package load sends the load: schedules of due times, and drivers that keep to them.
//
// Its one invariant: a schedule never sees a response. What was due is sent as due or recorded as late; nothing is left out
// (open loop, no coordinated omission). It judges nothing: the evidence goes into the record.
//
// The way of a trial through the files: arrivals.go and schedule.go draw the due times; a Driver (native.go, vegeta.go) sends
// them and hands a Sample for each to a Recorder (tally.go); serve.go is the driver's own process, run.go its parent's side.
package load

import (
	"context"
	"time"
)

// Arrival is one request that is due: when, since the start of the trial, and which of the declared requests.
type Arrival struct {
	Due     time.Duration
	Request uint16
}

// Schedule is every arrival of a trial, warm-up included, in order. The index is the sequence number; worker w takes the indices
// with i % W == w.
type Schedule []Arrival

// Sample is what became of one arrival. All times count from the start of the trial. An arrival that is made of several calls is one
// sample: sent with the first call that was written, done with the last answer, failed if any of its calls did.
type Sample struct {
	Seq      int
	Due      time.Duration // when it should have been sent
	Ready    time.Duration // when the generator took it up
	Sent     time.Duration // when it was written to a free connection; Done where it never was
	Done     time.Duration // when the last byte of the response was read, or the request was given up
	Waited   bool          // no connection was free when it was taken up; of calls, when one of them was
	Declared bool          // the application was told to fail this one, and says so
	Requests int           // HTTP requests that were written for it
	Status   int           // 0: no response head was read; of calls, that of the first that failed, else that of the last
	Bytes    int64         // of the response body, or bodies
	Timing   []byte        // Server-Timing, where the request asked for it; valid until Record returns
	Err      error         // nil, or one of the Errors of this package; of calls, that of the first that failed
}

// Response is what a user waited: the headline.
func (s Sample) Response() time.Duration { return s.Done - s.Due }

// Service is the time from sending to the last byte.
func (s Sample) Service() time.Duration { return s.Done - s.Sent }

// Slip is the generator's own lateness.
func (s Sample) Slip() time.Duration { return s.Ready - s.Due }

// Wait is the time for a free connection: the target's doing, not the generator's.
func (s Sample) Wait() time.Duration { return s.Sent - s.Ready }

// Recorder takes the samples of one worker. It is called from that worker alone and may not block.
type Recorder interface{ Record(Sample) }

// Driver sends a schedule to a target. It returns when every sample is done or timed out, or ctx ended.
type Driver interface {
	Drive(ctx context.Context, t Target, s Schedule, r []Recorder) error
	Effort() Effort
}

// Effort is what driving cost the generator itself, from the start of Drive until now. It may be read while Drive runs.
type Effort struct {
	Spin    time.Duration // CPU time spent waiting for due times with the CPU in hand
	AllBusy time.Duration // time with every connection busy
	Dials   int64         // connections opened, or tried
}

// Target is where the load goes. The connections are divided evenly among the entries.
type Target struct {
	Entries     []string      `json:"entries"`         // base URLs; sequence i goes to entry i % len
	Roots       string        `json:"roots,omitempty"` // certificates in PEM that https entries must be of; none: the system's
	Requests    []Request     `json:"requests"`
	Connections int           `json:"connections"`
	Timeout     time.Duration `json:"timeout"`          // from due
	Ledger      bool          `json:"ledger,omitempty"` // some requests ask where their time goes (native only)
}

// Request is one declared request, ready to be sent. The driver adds Host, X-Crossroads-Seq and Content-Length.
type Request struct {
	Method  string      `json:"method"`
	Path    string      `json:"path"`
	Headers [][2]string `json:"headers,omitempty"`
	Body    []byte      `json:"body,omitempty"`
	Weight  int         `json:"weight"`
	Calls   []Call      `json:"calls,omitempty"`    // sent instead of the request itself, each on a connection of its own
	InOrder bool        `json:"in_order,omitempty"` // each call waits for the answer of the one before, and is not sent where that failed; else all are sent at the same time
}

// Call is one of the calls that a request is made of: a GET.
type Call struct {
	Entries []string    `json:"entries,omitempty"` // base URLs; sequence i goes to entry i % len; none: the target's
	Path    string      `json:"path"`
	Headers [][2]string `json:"headers,omitempty"`
}

// SeqHeader carries the sequence number of a request, so that every draw of the application depends on it alone.
const SeqHeader = "X-Crossroads-Seq"

// DeclaredHeader marks a response that fails because the experiment declares failures.
const DeclaredHeader = "X-Crossroads-Declared"
