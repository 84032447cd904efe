package results

// Fault is a declared fault and what became of it in one trial. Times are nanoseconds since the block began.
type Fault struct {
	Kind   string     `json:"kind"` // kill, pause, terminate, expire, stale, service
	Text   string     `json:"text"` // kill gateway-1
	From   int64      `json:"from_ns"`
	To     int64      `json:"to_ns"`            // as planned; the end of the block where it never ends
	Next   int64      `json:"next_ns"`          // when the next one begins, or the block ends: until then effects are laid to this one
	Acts   []Act      `json:"acts,omitempty"`   // what was really done; none: the arm has none of the processes
	During *Toll      `json:"during,omitempty"` // of the requests due from From to To
	After  *Toll      `json:"after,omitempty"`  // and from To to Next
	Edges  []EdgeToll `json:"edges,omitempty"`  // of the calls that ended from From to Next, as the callers counted them
}

// Act is what a fault did to one process.
type Act struct {
	Process string `json:"process"`
	From    int64  `json:"from_ns"`            // it was done
	To      int64  `json:"to_ns,omitempty"`    // the end of it was begun; 0: it never ends
	Ready   int64  `json:"ready_ns,omitempty"` // the process served again
	Error   string `json:"error,omitempty"`    // it could not be done
}

// Done says whether the fault met a process of the arm.
func (f *Fault) Done() bool {
	for _, a := range f.Acts {
		if a.Error == "" {
			return true
		}
	}
	return false
}

// Over is when the last of the fault's processes served again; the planned end where one never does.
func (f *Fault) Over() int64 {
	over := f.To
	for _, a := range f.Acts {
		over = max(over, a.To, a.Ready)
	}
	return over
}

// Count counts requests by what became of them.
type Count struct {
	Due      int64 `json:"due"`
	Done     int64 `json:"done"`
	Errors   int64 `json:"errors,omitempty"`
	Declared int64 `json:"declared_errors,omitempty"` // of the errors
	Slow     int64 `json:"slow,omitempty"`            // of those done: slower than the limit of the moments
}

// Affected counts the requests that failed undeclared, were never answered, or were slow.
func (c *Count) Affected() int64 { return c.Due - c.Done - c.Declared + c.Slow }

// Share is the share of requests affected; NaN of none.
func (c *Count) Share() float64 { return share(c.Affected(), c.Due) }

// Toll is what became of the requests that were due in a stretch of the block.
type Toll struct {
	Count
	Times   *Histogram  `json:"times,omitempty"`   // response times of the successes
	Entries []EntryToll `json:"entries,omitempty"` // where there are several
}

// EntryToll is the toll of the requests that went to one entry. A request's entry is fixed by its sequence number: no client goes to
// another one because its own refuses connections.
type EntryToll struct {
	Entry string `json:"entry"`
	Count
}

// EdgeToll is the toll of the calls on one edge of the call graph, the driver's own excepted.
type EdgeToll struct {
	Caller string `json:"caller"`
	Callee string `json:"callee"`
	OK     int64  `json:"ok"` // declared errors included
	Failed int64  `json:"failed"`
}

// Moments are short equal stretches of a block, by due time.
type Moments struct {
	Length int64    `json:"length_ns"`
	Slow   int64    `json:"slow_ns,omitempty"` // a success whose response takes longer counts as slow; 0: none does
	Series []Moment `json:"series"`
}

// Moment is one of them. First and Last are due times, since the block began, of the first and the last request affected.
type Moment struct {
	Count
	First int64 `json:"first_ns,omitempty"`
	Last  int64 `json:"last_ns,omitempty"`
}

// MaxMoments bounds their number in a record.
const MaxMoments = 400

// MomentLength is how long the moments of a block are: 50 ms, or longer in a long block.
func MomentLength(block int64) int64 {
	const short = 50_000_000
	return max(short, (block+MaxMoments-1)/MaxMoments)
}
