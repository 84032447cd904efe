package load

import "time"

// whole gathers what becomes of the calls that one arrival is made of. The arrival was ready when its first call was taken up, sent
// when the first call was written to a connection, and is done with its last answer: at the same moment or one after the other, a
// client has what it asked for when it has all of it. A wait for a connection before the first call is the sample's wait; one before a
// later call of an order lies within its service time.
type whole struct {
	sent, done int64
	bytes      int64
	err        error
	status     int
	left       int // calls that have not ended
	requests   int // that were written
	waited     bool
	undeclared bool // a call failed that the application was not told to fail
}

// gather adds a call that has ended. Where calls go in order, the next one follows an answer, and none follows a failure.
func (w *worker) gather(flight int32, requests int, got outcome, err error) {
	f := &w.flights[flight]
	k, x := w.kindOf(flight), &w.wholes[(int(f.seq)-w.index)/w.stride]
	x.add(f, requests, got, err)
	switch {
	case k.inOrder && err == nil && x.left > 0:
		w.takeUp(flight+1, f.done)
		return
	case k.inOrder && err != nil:
		for i := range x.left {
			w.flights[int(flight)+1+i].state = ended
		}
	case x.left > 0:
		return
	}
	if x.requests == 0 {
		x.sent = x.done
	}
	first := &w.flights[flight-int32(f.call)]
	w.recorder.Record(Sample{
		Seq: int(f.seq), Due: w.schedule[f.seq].Due, Ready: time.Duration(first.ready), Sent: time.Duration(x.sent), Done: time.Duration(x.done),
		Waited: x.waited, Declared: x.err == ErrStatus && !x.undeclared, Requests: x.requests, Status: x.status, Bytes: x.bytes, Err: x.err,
	})
}

func (x *whole) add(f *flight, requests int, got outcome, err error) {
	x.left--
	x.bytes += got.bytes
	x.waited = x.waited || f.waited
	x.done = max(x.done, f.done)
	if requests > 0 && (x.requests == 0 || f.sent < x.sent) {
		x.sent = f.sent
	}
	x.requests += requests
	if x.err == nil {
		x.err, x.status = err, got.status
	}
	x.undeclared = x.undeclared || err != nil && !(err == ErrStatus && got.declared)
}
