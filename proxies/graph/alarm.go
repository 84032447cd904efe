package graph

import (
	"slices"
	"time"
)

// Alarm is one cascade: where it began, since when, and what it explains.
type Alarm struct {
	ID         int        `json:"id"`
	Root       Key        `json:"root"` // the destination is where it began
	Kind       string     `json:"kind"` // errors | slow
	Onset      time.Time  `json:"onset"`
	Raised     time.Time  `json:"raised"`
	Cleared    *time.Time `json:"cleared,omitempty"`
	Explained  []Key      `json:"explained"`  // edges whose trouble follows from the root's
	Confidence float64    `json:"confidence"` // the share of troubled edges that the root explains
	Revised    int        `json:"revised,omitempty"`

	calm int // windows
	step int // in which it was raised
}

// maxAlarms are remembered.
const maxAlarms = 64

// suspect is a root and the troubled edges that lead to it.
type suspect struct {
	root    Key
	kind    string
	onset   int
	explain []Key
	worst   float64
}

// suspects follows every troubled edge down, and gathers them by where they lead to.
func (d *Detector) suspects() (found []*suspect, troubled int) {
	by := map[string]*suspect{}
	for _, k := range sortedKeys(d.tracks) {
		t := d.tracks[k]
		if !t.troubled {
			continue
		}
		troubled++
		root := d.root(k, t.kind, max(t.onset-1, 1))
		s := by[root.Destination]
		if s == nil {
			s = &suspect{root: root, kind: t.kind, onset: t.onset}
			by[root.Destination] = s
			found = append(found, s)
		}
		s.onset = min(s.onset, t.onset)
		s.explain = append(s.explain, k)
		d.lead(s, root)
	}
	return found, troubled
}

// lead makes an edge the root of a suspect if more speaks for it than for the one before.
func (d *Detector) lead(s *suspect, root Key) {
	t := d.tracks[root]
	if t.evidence > s.worst {
		s.root, s.worst = root, t.evidence
		if t.troubled {
			s.kind = t.kind
		}
	}
}

// settle ends alarms whose root has been calm for long enough.
func (d *Detector) settle(now time.Time) {
	for _, a := range d.alarms {
		if a.Cleared != nil {
			continue
		}
		if d.quiet(a) {
			a.calm++
		} else {
			a.calm = 0
		}
		if a.calm >= d.rules.Calm {
			at := now
			a.Cleared = &at
		}
	}
}

// quiet says whether nothing is wrong on the edges that the alarm is about.
func (d *Detector) quiet(a *Alarm) bool {
	for k, t := range d.tracks {
		if t.troubled && (k.Destination == a.Root.Destination || slices.Contains(a.Explained, k)) {
			return false
		}
	}
	return true
}

// raise makes alarms of suspects that are certain enough.
func (d *Detector) raise(now time.Time) (raised []Alarm) {
	found, troubled := d.suspects()
	for _, s := range found {
		confidence := float64(len(s.explain)) / float64(troubled)
		if active := d.active(s.root); active != nil {
			active.follow(s, confidence)
			continue
		}
		if confidence < d.rules.Confidence || d.untold(s) {
			continue
		}
		if a := d.related(s); a != nil {
			d.revise(a, s)
			continue
		}
		d.next++
		a := &Alarm{ID: d.next, Root: s.root, Kind: s.kind, Onset: d.time(s, now), Raised: now, Confidence: confidence, step: d.step}
		a.follow(s, confidence)
		if d.alarms = append(d.alarms, a); len(d.alarms) > maxAlarms {
			d.alarms = d.alarms[1:]
		}
		raised = append(raised, a.copy())
	}
	return raised
}

// untold says whether the root's callee makes calls and did not report of them in this window: the cause may lie there. One window
// later it is judged as it is.
func (d *Detector) untold(s *suspect) bool {
	t := d.tracks[s.root]
	if !t.troubled || t.noticed != d.step {
		return false
	}
	for _, k := range d.from[s.root.Destination] {
		if d.tracks[k].reported == d.step-1 {
			return true
		}
	}
	return false
}

// active finds the alarm that is about a root already.
func (d *Detector) active(root Key) *Alarm {
	for _, a := range d.alarms {
		if a.Cleared == nil && a.Root.Destination == root.Destination {
			return a
		}
	}
	return nil
}

// related finds the alarm that the suspect is a consequence of, or the cause: trouble above a root follows from it, and what retries
// do to those below does too.
func (d *Detector) related(s *suspect) *Alarm {
	for _, a := range d.alarms {
		if a.Cleared == nil && (d.reaches(s.root.Destination, a.Root.Destination) || d.reaches(a.Root.Destination, s.root.Destination)) {
			return a
		}
	}
	return nil
}

// revise names another root where a young alarm turns out to be explained by something below that began no later.
func (d *Detector) revise(a *Alarm, s *suspect) {
	if d.step-a.step <= d.rules.Young && d.reaches(a.Root.Destination, s.root.Destination) && slices.Contains(s.explain, a.Root) {
		a.Root, a.Kind = s.root, s.kind
		a.Revised++
	}
	for _, k := range s.explain {
		a.explain(k)
	}
}

func (a *Alarm) follow(s *suspect, confidence float64) {
	a.Confidence = max(a.Confidence, confidence)
	for _, k := range s.explain {
		a.explain(k)
	}
}

func (a *Alarm) explain(k Key) {
	if k.Destination != a.Root.Destination && !slices.Contains(a.Explained, k) {
		a.Explained = append(a.Explained, k)
		slices.SortFunc(a.Explained, compareKeys)
	}
}

// time is when the trouble began: the first failure on the root's edges since the onset's window, or that window's beginning.
func (d *Detector) time(s *suspect, now time.Time) time.Time {
	begin := now.Add(-time.Duration(d.step-s.onset+1) * d.rules.Window)
	out, in := d.sums(s.onset, d.to[s.root.Destination]...)
	out.add(&in)
	first := out.first
	if s.kind == "errors" && !first.IsZero() && first.After(begin) {
		return first
	}
	return begin
}

func (a *Alarm) copy() Alarm {
	c := *a
	c.Explained = slices.Clone(a.Explained)
	if c.Explained == nil {
		c.Explained = []Key{}
	}
	return c
}

// Alarms returns copies of what is remembered, the oldest first.
func (d *Detector) Alarms() []Alarm {
	all := make([]Alarm, 0, len(d.alarms))
	for _, a := range d.alarms {
		all = append(all, a.copy())
	}
	return all
}

// Troubled says how an edge is: "", errors or slow.
func (d *Detector) Troubled(k Key) string {
	if t := d.tracks[k]; t != nil && t.troubled {
		return t.kind
	}
	return ""
}
