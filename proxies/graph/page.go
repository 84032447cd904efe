package graph

import (
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
)

// Policy is the Content-Security-Policy of the page: it holds no script and loads nothing.
const Policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// Sizes of the drawing, in CSS pixels.
const (
	boxWidth, boxHeight = 140, 44
	columnGap, rowGap   = 150, 56
	margin              = 16
)

// Page writes the graph as an HTML page that draws itself again every two seconds.
func (d *Document) Page(w io.Writer) error { return page.Execute(w, d.drawing()) }

// drawing is the document laid out.
type drawing struct {
	*Document
	Width, Height int
	Boxes         []box
	Lines         []line
	Sentences     []sentence
	Rows          []row
}

type box struct {
	Node
	X, Y, TextX, NameY, RateY int
	Shown, Rate               string
	Root                      bool
}

type line struct {
	Path, Class   string
	X, Y, Y2      int
	First, Second string
	Title         string
}

type sentence struct {
	Text      string
	Over      bool
	Explained string
}

type row struct {
	From, To, Rate, Errors, P50, P99, Tries, InFlight, Ejected, Own, Reasons, State, Class string
}

// drawing puts each layer into a column, and orders the nodes of a column by where their callers stand, so that lines cross little.
func (d *Document) drawing() *drawing {
	g := &drawing{Document: d}
	at := g.place()
	for _, e := range d.Edges {
		g.Lines = append(g.Lines, g.connect(&e, at))
		g.Rows = append(g.Rows, rowOf(&e))
	}
	for i := range d.Alarms {
		a := &d.Alarms[i]
		var explained []string
		for _, k := range a.Explained {
			explained = append(explained, k.Source+" → "+k.Destination)
		}
		g.Sentences = append(g.Sentences, sentence{a.sentence(), a.Cleared != nil, strings.Join(explained, ", ")})
	}
	return g
}

func (g *drawing) place() map[string]*box {
	columns := map[int][]Node{}
	deepest, most := 0, 1
	for _, n := range g.Nodes {
		columns[n.Layer] = append(columns[n.Layer], n)
		deepest = max(deepest, n.Layer)
		most = max(most, len(columns[n.Layer]))
	}
	g.Width = 2*margin + (deepest+1)*boxWidth + deepest*columnGap
	g.Height = 2*margin + most*boxHeight + (most-1)*rowGap + 20
	at := map[string]*box{}
	for layer := 0; layer <= deepest; layer++ {
		nodes := columns[layer]
		slices.SortStableFunc(nodes, func(a, b Node) int { return g.pull(a.Name, at) - g.pull(b.Name, at) })
		used := len(nodes)*boxHeight + (len(nodes)-1)*rowGap
		for i, n := range nodes {
			b := &box{Node: n, X: margin + layer*(boxWidth+columnGap), Y: (g.Height-used)/2 + i*(boxHeight+rowGap), Shown: short(n.Name, 17), Rate: perSecond(n.Rate)}
			b.TextX, b.NameY, b.RateY = b.X+boxWidth/2, b.Y+19, b.Y+35
			b.Root = slices.ContainsFunc(g.Alarms, func(a Alarm) bool { return a.Cleared == nil && a.Root.Destination == n.Name })
			at[n.Name] = b
			g.Boxes = append(g.Boxes, *b)
		}
	}
	return at
}

// pull is the mean height of a node's callers that are placed.
func (g *drawing) pull(name string, at map[string]*box) int {
	sum, n := 0, 0
	for _, e := range g.Edges {
		if b := at[e.Source]; e.Destination == name && b != nil {
			sum += b.Y
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return sum / n
}

// connect draws an edge as a curve from box to box. Its figures stand where the curve is two thirds of the way up or down (six tenths of
// its parameter): there neither edges of one caller, nor those to one callee, nor those that cross are close together.
func (g *drawing) connect(e *Edge, at map[string]*box) line {
	a, b := at[e.Source], at[e.Destination]
	x1, y1, x2, y2 := a.X+boxWidth, a.Y+boxHeight/2, b.X-6, b.Y+boxHeight/2
	l := line{Class: class(e), First: perSecond(e.Rate) + " · " + percent(e.Errors), Second: micros(e.P50) + " / " + micros(e.P99)}
	if b.Layer <= a.Layer { // a call that leads back: below everything
		low := g.Height - 8
		l.Path = fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1+60, low, x2-60, low, x2, y2)
		l.X, l.Y = (x1+x2)/2, low-14
	} else {
		bend := columnGap / 2
		l.Path = fmt.Sprintf("M%d %dC%d %d %d %d %d %d", x1, y1, x1+bend, y1, x2-bend, y2, x2, y2)
		l.X, l.Y = x1+(x2-x1)*58/100, y1+(y2-y1)*65/100-6
	}
	l.Y2 = l.Y + 21 // the line between the two
	l.Title = fmt.Sprintf("%s → %s: %s, %s failed, p50 %s, p99 %s, %.2f tries a request", e.Source, e.Destination, perSecond(e.Rate), percent(e.Errors),
		micros(e.P50), micros(e.P99), e.Attempts)
	return l
}

func class(e *Edge) string {
	switch {
	case e.Root:
		return "root"
	case e.State != "":
		return "troubled"
	}
	return "fine"
}

func rowOf(e *Edge) row {
	var reasons []string
	for reason, n := range e.Made {
		reasons = append(reasons, fmt.Sprintf("%s %d", reason, n))
	}
	slices.Sort(reasons)
	if e.Passed > 0 {
		reasons = append(reasons, fmt.Sprintf("passed on %d", e.Passed))
	}
	return row{From: e.Source, To: e.Destination, Rate: perSecond(e.Rate), Errors: percent(e.Errors), P50: micros(e.P50), P99: micros(e.P99),
		Tries: fmt.Sprintf("%.2f", e.Attempts), InFlight: fmt.Sprint(e.InFlight), Ejected: e.ejected(), Own: e.own(),
		Reasons: strings.Join(reasons, ", "), State: e.state(), Class: class(e)}
}

// short cuts a name that would not fit its box; the whole one stands in the table.
func short(name string, n int) string {
	letters := []rune(name)
	if len(letters) <= n {
		return name
	}
	return string(letters[:n-1]) + "…"
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2"><meta name="viewport" content="width=device-width">
<title>Dependency graph</title>
<style>
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--paper:#fff;--box:#f2f5f9;--rule:#c5ced9;--line:#6d7f95;--warn:#b45f06;--bad:#c0262d;--badbox:#fdecec}
@media (prefers-color-scheme:dark){:root{--ink:#e6ebf2;--soft:#9aa7b8;--paper:#12161c;--box:#1d242e;--rule:#3a4655;--line:#7f93ab;--warn:#f0a24a;--bad:#ff6b6b;--badbox:#3a1d20}}
body{font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:24px}
h1{font-size:21px;margin:0 0 4px}p{margin:4px 0 14px;color:var(--soft)}
svg{max-width:100%;height:auto;display:block}
svg text{font:12px system-ui,sans-serif;fill:var(--ink);text-anchor:middle}
svg .name{font-size:13px;font-weight:600}svg .soft{fill:var(--soft)}
svg .figure{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round;font-size:11.5px}
rect{fill:var(--box);stroke:var(--rule)}rect.root{fill:var(--badbox);stroke:var(--bad);stroke-width:2.5}
path{fill:none;stroke:var(--line);stroke-width:1.5}
path.troubled{stroke:var(--warn);stroke-width:2.5}path.root{stroke:var(--bad);stroke-width:3.5}
marker path{fill:var(--line);stroke:none}marker#to-troubled path{fill:var(--warn)}marker#to-root path{fill:var(--bad)}
table{border-collapse:collapse;margin-top:18px;font-variant-numeric:tabular-nums}
th,td{padding:4px 12px 4px 0;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th{color:var(--soft);font-weight:500}.l{text-align:left}
tr.troubled td{color:var(--warn)}tr.root td{color:var(--bad);font-weight:600}
ul{padding-left:20px}li{margin:6px 0}li.now{color:var(--bad)}li.over{color:var(--soft)}
.scroll{overflow-x:auto}
</style></head><body>
<h1>Dependency graph</h1>
<p>{{len .Nodes}} nodes, {{len .Edges}} edges, over the last {{printf "%.0f" .Seconds}} s, at {{.At.UTC.Format "2006-01-02 15:04:05"}} UTC.
On each edge: requests a second and the share that failed; p50 / p99.</p>
{{if .Edges}}<div class="scroll"><svg viewBox="0 0 {{.Width}} {{.Height}}" width="{{.Width}}" height="{{.Height}}" role="img" aria-label="Services and who calls whom; the table below has the same figures">
<defs>{{range $c := .Classes}}<marker id="to-{{$c}}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L8 4L0 8z"/></marker>{{end}}</defs>
{{range .Lines}}<path class="{{.Class}}" d="{{.Path}}" marker-end="url(#to-{{.Class}})"><title>{{.Title}}</title></path>
{{end}}{{range .Lines}}<text class="figure" x="{{.X}}" y="{{.Y}}">{{.First}}</text><text class="figure soft" x="{{.X}}" y="{{.Y2}}">{{.Second}}</text>
{{end}}{{range .Boxes}}<g><title>{{.Name}}</title><rect{{if .Root}} class="root"{{end}} x="{{.X}}" y="{{.Y}}" width="140" height="44" rx="7"/><text class="name" x="{{.TextX}}" y="{{.NameY}}">{{.Shown}}</text><text class="soft" x="{{.TextX}}" y="{{.RateY}}">{{.Rate}}</text></g>
{{end}}</svg></div>{{else}}<p>Nothing was reported yet: proxies report once calls pass them.</p>{{end}}
<h2>Cascades</h2>
{{if .Sentences}}<ul>{{range .Sentences}}<li class="{{if .Over}}over{{else}}now{{end}}">{{.Text}}{{if .Explained}}<br>It explains {{.Explained}}.{{end}}</li>{{end}}</ul>{{else}}<p>No cascade was seen.</p>{{end}}
{{if .Rows}}<div class="scroll"><table><thead><tr><th class="l">from<th class="l">to<th>rate<th>failed<th>p50<th>p99<th>tries<th>in flight<th>ejected<th>own time<th class="l">failures<th class="l">state</tr></thead><tbody>
{{range .Rows}}<tr class="{{.Class}}"><td class="l">{{.From}}<td class="l">{{.To}}<td>{{.Rate}}<td>{{.Errors}}<td>{{.P50}}<td>{{.P99}}<td>{{.Tries}}<td>{{.InFlight}}<td>{{.Ejected}}<td>{{.Own}}<td class="l">{{.Reasons}}<td class="l">{{.State}}</tr>
{{end}}</tbody></table></div>{{end}}
</body></html>
`))

// Classes are how an edge may look.
func (*drawing) Classes() []string { return []string{"fine", "troubled", "root"} }
