package reports

import (
	"fmt"
	"strings"

	"crossroads/reports/quantity"
	"crossroads/results"
)

// composed are the arms in which the gateway answers in one piece what is made of several calls; own are those whose client makes the
// calls itself.
func (b *book) composed() (composed, own []int) {
	for arm, a := range b.Plan.Arms {
		switch {
		case a.Composition == nil:
		case a.Composition.By == results.ByGateway:
			composed = append(composed, arm)
		default:
			own = append(own, arm)
		}
	}
	return composed, own
}

// tripsPerRequest is how many HTTP requests the client sent for one of its requests: a round trip each.
func tripsPerRequest(t *trial) (float64, bool) {
	if t.Counts.Requests == 0 || t.Counts.Planned == 0 {
		return 0, false
	}
	return float64(t.Counts.Requests) / float64(t.Counts.Planned), true
}

// bytesPerRequest is the length of the response bodies of one request.
func bytesPerRequest(t *trial) (float64, bool) {
	return float64(t.Counts.Bytes) / float64(t.Counts.Done), t.Counts.Done > 0
}

// tripsSaved is the cell of the decision matrix: of the calls that a request is made of, those that do not cross between client and
// entry.
func (b *book) tripsSaved(arm int) Cell {
	c := b.Plan.Arms[arm].Composition
	if c == nil {
		return number(quantity.Absent(notMeasured))
	}
	trips := b.ref(arm).level(tripsPerRequest, quantity.None)
	if !trips.Known() {
		return number(trips)
	}
	return text(quantity.Of(c.Calls-trips.Value, quantity.None).Number() + " of " + quantity.Of(c.Calls, quantity.None).Number())
}

// compositionSection holds one composed request against the client's own calls.
func (b *book) compositionSection() Section {
	composed, own := b.composed()
	if len(composed)+len(own) == 0 {
		return Section{}
	}
	s := Section{ID: "composition", Title: "One request or several", Parts: []Part{{Table: b.compositionTable()}}}
	if len(composed) > 0 && len(own) > 0 {
		s.Parts = append(s.Parts, Part{Table: b.againstTable(composed, own)})
	}
	s.Text = []string{"A request here is made of several calls. Either the client makes them, each on a connection of its own, at the same time or one after the other; " +
		"or it asks the gateway once, which makes them and answers with all of them. Probes hold that the services are asked the same and answer the same in every topology. " +
		"A request counts from when it was due to the last byte of its last answer, and fails with any of its calls."}
	return s
}

func (b *book) compositionTable() *Table {
	t := &Table{ID: "composition-table", Caption: "What the client sends and waits for, at " + quantity.Rate(b.refRate),
		Columns: []Column{
			{Key: "topology", Title: "Topology"}, {Key: "by", Title: "Calls made by"},
			{Key: "trips", Title: "Round trips per request", Numeric: true}, {Key: "in_turn", Title: "of them one after the other", Numeric: true},
			{Key: "connections", Title: "Connections at once", Numeric: true}, {Key: "bytes", Title: "Bytes of the answers", Numeric: true},
			{Key: "p50", Title: "p50", Unit: quantity.Milliseconds, Numeric: true}, {Key: "p99", Title: "p99", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "cpu", Title: "CPU per 1,000 requests", Unit: quantity.Milliseconds, Numeric: true},
		},
		Notes: []string{"Round trips and bytes are counted by the driver: response bodies, without heads. How many wait for each other, and how many connections are in use at once, follows from the declaration."},
	}
	for arm, a := range b.Plan.Arms {
		if a.Composition == nil {
			continue
		}
		c := b.ref(arm)
		t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(arm), Cells: []Cell{
			text(b.name(arm)), text("the " + a.Composition.By),
			number(plainly(c.level(tripsPerRequest, quantity.None))), number(quantity.Of(a.Composition.InTurn, quantity.None)),
			number(quantity.Of(a.Composition.Requests/max(a.Composition.InTurn, 1), quantity.None)),
			number(plainly(c.level(bytesPerRequest, quantity.None))),
			number(c.quantile(results.Response, 0.50)), number(c.quantile(results.Response, 0.99)), number(c.level(cpu(), quantity.Milliseconds)),
		}})
	}
	return t
}

// plainly is a count whose interval has no width.
func plainly(q quantity.Quantity) quantity.Quantity {
	if q.Known() && q.Interval != nil && q.Interval.Low == q.Interval.High {
		q.Interval = nil
	}
	return q
}

// againstTable is the differences, round by round, and from which round-trip time on they pay.
func (b *book) againstTable(composed, own []int) *Table {
	t := &Table{ID: "composition-against", Caption: "Composed by the gateway, minus the client's own calls, at " + quantity.Rate(b.refRate),
		Columns: []Column{
			{Key: "topology", Title: "Topology"}, {Key: "against", Title: "minus"}, {Key: "trips", Title: "Round trips", Numeric: true},
			{Key: "p50", Title: "p50", Unit: quantity.Milliseconds, Numeric: true}, {Key: "p99", Title: "p99", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "cpu", Title: "CPU per 1,000 requests", Unit: quantity.Milliseconds, Numeric: true},
			{Key: "pays", Title: "Pays in p50 from a round-trip time of (computed)", Unit: quantity.Milliseconds, Numeric: true},
		},
		Notes: []string{"Below zero the composed request is the better one. Everything here talks over one host, where a round trip takes next to nothing. " +
			"The last column is computed and was not measured: what composing adds to p50 here, divided by the round trips that the client then no longer waits for one after the other; " +
			"connections are taken as open. Calls made at the same time wait for one round trip together, as a composed request does: no distance makes up for what composing them adds."},
	}
	for _, arm := range composed {
		for _, other := range own {
			c, o := b.ref(arm), b.ref(other)
			t.Rows = append(t.Rows, Row{Ink: 1 + b.ink(arm), Cells: []Cell{
				text(b.name(arm)), text(b.name(other)), number(plainly(difference(c, o, tripsPerRequest, quantity.None))),
				number(difference(c, o, quantileOf(results.Response, 0.50), quantity.Milliseconds)),
				number(difference(c, o, quantileOf(results.Response, 0.99), quantity.Milliseconds)),
				number(difference(c, o, cpu(), quantity.Milliseconds)), number(b.breakEven(arm, other)),
			}})
		}
	}
	return t
}

// breakEven is the round-trip time r at which the p50 of both are equal. Over a distance a request takes r longer for each round trip
// that waits for the one before: composed + k r = own + n r, so r = (composed - own) / (n - k), round by round.
func (b *book) breakEven(arm, other int) quantity.Quantity {
	turns := b.Plan.Arms[other].Composition.InTurn - b.Plan.Arms[arm].Composition.InTurn
	q := difference(b.ref(arm), b.ref(other), quantileOf(results.Response, 0.50), quantity.Milliseconds)
	switch {
	case !q.Known():
		return q
	case q.Value <= 0:
		return quantity.Absent("any: faster here already")
	case turns <= 0:
		return quantity.Absent("none: the same waits")
	}
	q.Value /= turns
	if q.Interval != nil {
		q.Interval = &quantity.Interval{Low: q.Interval.Low / turns, High: q.Interval.High / turns}
	}
	return q
}

// compositionFinding says what composing saves and what it does to the p50, against each way in which the client makes the calls.
func (b *book) compositionFinding() (Finding, bool) {
	f := Finding{Rule: "composition"}
	composed, own := b.composed()
	var sentences []string
	for _, arm := range composed {
		var saves, changes, same, blind []string
		for _, other := range own {
			trips := difference(b.ref(other), b.ref(arm), tripsPerRequest, quantity.None)
			level := b.ref(other).quantile(results.Response, 0.50)
			q := difference(b.ref(arm), b.ref(other), quantileOf(results.Response, 0.50), quantity.Milliseconds)
			if !trips.Known() || !level.Known() || !q.Known() {
				continue
			}
			margin := quantity.Of(level.Value*margin50, quantity.Milliseconds)
			f.Evidence = append(f.Evidence, Evidence{b.name(arm), "p50 minus that of " + b.name(other), q, margin})
			saves = append(saves, plainly(trips).Number())
			switch {
			case q.Interval == nil:
				blind = append(blind, b.name(other))
			case !q.Excludes(margin.Value):
				same = append(same, b.name(other))
			case q.Value < 0:
				changes = append(changes, fmt.Sprintf("takes %s off the p50 of %s", negated(q).Text(), b.name(other)))
			default:
				changes = append(changes, fmt.Sprintf("adds %s to the p50 of %s%s", q.Text(), b.name(other), b.paysFrom(arm, other)))
			}
		}
		if len(saves) == 0 {
			continue
		}
		f.Shown = f.Shown || len(changes) > 0
		calls := quantity.Of(b.Plan.Arms[arm].Composition.Calls, quantity.None)
		parts := append([]string{fmt.Sprintf("saves %s of the client's %s round trips", saves[0], calls.Number())}, changes...)
		if len(same) > 0 {
			parts = append(parts, "shows no difference in p50 to "+list(same))
		}
		if len(blind) > 0 {
			parts = append(parts, "cannot be held against the p50 of "+list(blind)+": no interval")
		}
		sentences = append(sentences, fmt.Sprintf("At %s %s %s", quantity.Rate(b.refRate), b.name(arm), list(parts)))
	}
	f.Text = sentence(strings.Join(sentences, ". "))
	return f, len(sentences) > 0
}

func (b *book) paysFrom(arm, other int) string {
	if r := b.breakEven(arm, other); r.Known() {
		return fmt.Sprintf(" (computed: it pays from a round-trip time of %s)", r.WithUnit())
	}
	return ""
}
