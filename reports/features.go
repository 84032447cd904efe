package reports

import (
	"io"
	"slices"
	"strings"

	"crossroads/reports/quantity"
	"crossroads/results"
)

// featuresSection is what each proxy did when it was asked, and what it was not deployed for. Nothing in it is a claim of anybody's: a cell
// is an answer to a probe, a refusal with its reason, or empty.
func (b *book) featuresSection() Section {
	s := Section{ID: "features", Title: "What each proxy did when asked"}
	for _, t := range FeatureTables(b.Plan.Arms, b.Sightings, b.Plan.Refused) {
		s.Parts = append(s.Parts, Part{Table: t})
	}
	if len(s.Parts) == 0 {
		return Section{}
	}
	s.Text = []string{"Before an arm is loaded, probes ask it for what is declared; an arm that answers otherwise is kept out."}
	return s
}

// asking is a column of the matrix: one kind of proxy in one place.
type asking struct{ place, use string }

func (a asking) title() string {
	if a.place == results.PlaceSidecars {
		return a.use + " sidecars"
	}
	return a.use
}

// FeatureTables are the matrix of proxies and features for each place, what was asked and answered, why what is refused is, and how proxies
// speak TLS; none where nothing was asked.
func FeatureTables(arms []results.ArmInfo, sightings []results.Sighting, refused []results.Refusal) []*Table {
	if len(sightings) == 0 {
		return nil
	}
	m := newFeatureMatrix(arms, sightings, refused)
	var tables []*Table
	for _, place := range []string{results.PlaceGateway, results.PlaceSidecars} {
		if t := m.matrix(place); len(t.Rows) > 0 {
			tables = append(tables, t)
		}
	}
	if len(tables) == 0 {
		return nil
	}
	tables[len(tables)-1].Notes = []string{matrixNote}
	tables = append(tables, m.answered())
	if why := m.reasons(); len(why.Rows) > 0 {
		tables = append(tables, why)
	}
	if tls := handshakeTable(arms, sightings); len(tls.Rows) > 0 {
		tables = append(tables, tls)
	}
	return tables
}

type featureMatrix struct {
	columns  []asking
	features []string
	answers  map[string]map[asking][]results.Probe
	refused  map[string]map[asking]string
}

func newFeatureMatrix(arms []results.ArmInfo, sightings []results.Sighting, refused []results.Refusal) *featureMatrix {
	m := &featureMatrix{answers: map[string]map[asking][]results.Probe{}, refused: map[string]map[asking]string{}}
	of := map[string]map[string]asking{} // by arm and place
	for _, a := range arms {
		of[a.Name] = map[string]asking{}
		for place, use := range places(a) {
			of[a.Name][place] = asking{place, use}
		}
		for _, place := range []string{results.PlaceGateway, results.PlaceSidecars} {
			if who, stands := of[a.Name][place]; stands && !slices.Contains(m.columns, who) {
				m.columns = append(m.columns, who)
			}
		}
	}
	for _, s := range sightings {
		for _, p := range s.Probes {
			who, stands := of[s.Arm][p.Place]
			if !stands {
				continue
			}
			if m.answers[p.Feature] == nil {
				m.answers[p.Feature] = map[asking][]results.Probe{}
			}
			if !slices.Contains(m.answers[p.Feature][who], p) {
				m.answers[p.Feature][who] = append(m.answers[p.Feature][who], p)
			}
		}
	}
	for _, r := range refused {
		if strings.HasSuffix(r.Feature, "=shadow") && m.answers[r.Feature] == nil {
			continue // a shadow is asked for where it is declared, and is no feature by itself
		}
		if m.refused[r.Feature] == nil {
			m.refused[r.Feature] = map[asking]string{}
		}
		m.refused[r.Feature][asking{r.Place, r.Use}] = r.Reason
	}
	m.features = m.order(sightings, refused)
	return m
}

// places says what stands where in an arm.
func places(a results.ArmInfo) map[string]string {
	all := map[string]string{}
	if a.Gateway != "" {
		all[results.PlaceGateway] = a.Gateway
	}
	if a.Mesh != "" {
		all[results.PlaceSidecars] = a.MeshUse
		if a.MeshUse == "" {
			all[results.PlaceSidecars] = "reference"
		}
	}
	return all
}

// featureOrder is what every proxy is asked for first; the rest follows in the order in which it is met.
var featureOrder = []string{"forwarding", "via", "carried", "fields", "request_id", "keep_alive", "tls", "mtls=strict", "mtls=permissive",
	"access_log", "cors", "key_auth", "jwt", "introspection", "authorization", "rate_limit", "body_limit"}

func (m *featureMatrix) order(sightings []results.Sighting, refused []results.Refusal) []string {
	met := slices.Clone(featureOrder)
	for _, s := range sightings {
		for _, p := range s.Probes {
			met = append(met, p.Feature)
		}
	}
	for _, r := range refused {
		met = append(met, r.Feature)
	}
	var all []string
	for _, f := range met {
		if (m.answers[f] != nil || m.refused[f] != nil) && !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all
}

// matrix is one word for each feature of each proxy in a place.
func (m *featureMatrix) matrix(place string) *Table {
	t := &Table{ID: "features-" + place, Caption: captions[place], Columns: []Column{{Key: "feature", Title: "Feature"}}}
	columns := m.at(place)
	for _, c := range columns {
		t.Columns = append(t.Columns, Column{Key: c.use, Title: c.use})
	}
	for _, f := range m.features {
		cells, known := []Cell{text(f)}, false
		for _, c := range columns {
			cell := m.cell(f, c)
			cells, known = append(cells, cell), known || !cell.Missing()
		}
		if known {
			t.Rows = append(t.Rows, Row{Cells: cells})
		}
	}
	return t
}

var captions = map[string]string{
	results.PlaceGateway: "In the gateway's place", results.PlaceSidecars: "In the sidecars' place",
}

const matrixNote = "yes: seen to act. says so: the proxy's own word, not seen to act. does not: asked, and it does not. no: it did otherwise than declared. " +
	"cannot: it is not deployed for this, see why not. not asked: no topology of this run declares it."

// at are the columns of a place.
func (m *featureMatrix) at(place string) []asking {
	return slices.DeleteFunc(slices.Clone(m.columns), func(a asking) bool { return a.place != place })
}

// cell is a word: what went wrong before what went right, what was seen before what was told, and any answer before a refusal.
func (m *featureMatrix) cell(feature string, c asking) Cell {
	words := map[string]bool{}
	for _, p := range m.answers[feature][c] {
		words[word(p)] = true
	}
	for _, w := range []string{"no", "yes", "says so", "does not"} {
		if words[w] {
			return text(w)
		}
	}
	if _, no := m.refused[feature][c]; no {
		return text("cannot")
	}
	return number(quantity.Absent("not asked"))
}

func word(p results.Probe) string {
	switch {
	case p.Failed:
		return "no"
	case p.Lacks:
		return "does not"
	case p.Told:
		return "says so"
	}
	return "yes"
}

// answered lists what was asked and answered, those together who were asked and answered alike.
func (m *featureMatrix) answered() *Table {
	t := &Table{ID: "answers-table", Caption: "What was asked, and what was answered", Fold: true, Columns: []Column{{Key: "feature", Title: "Feature"},
		{Key: "asked", Title: "Asked"}, {Key: "answered", Title: "Answered"}, {Key: "proxies", Title: "By"}}}
	for _, f := range m.features {
		said := together[[2]string]{}
		for _, c := range m.columns {
			for _, p := range m.answers[f][c] {
				said.add([2]string{p.Asked, p.Answered}, c.title())
			}
		}
		for i, s := range said.what {
			t.Rows = append(t.Rows, Row{Cells: []Cell{text(f), text(s[0]), text(s[1]), text(said.by(i))}})
		}
	}
	return t
}

// reasons lists every refusal, those of one reason together.
func (m *featureMatrix) reasons() *Table {
	t := &Table{ID: "refused-table", Caption: "Why not", Columns: []Column{{Key: "feature", Title: "Feature"}, {Key: "reason", Title: "Reason"}, {Key: "proxies", Title: "Proxies"}}}
	for _, f := range m.features {
		said := together[string]{}
		for _, c := range m.columns {
			if reason, no := m.refused[f][c]; no && len(m.answers[f][c]) == 0 {
				said.add(reason, c.title())
			}
		}
		for i, reason := range said.what {
			t.Rows = append(t.Rows, Row{Cells: []Cell{text(f), text(reason), text(said.by(i))}})
		}
	}
	return t
}

// together gathers who said the same, in the order in which it was said first.
type together[T comparable] struct {
	what []T
	who  [][]string
}

func (g *together[T]) add(what T, who string) {
	i := slices.Index(g.what, what)
	if i < 0 {
		i = len(g.what)
		g.what, g.who = append(g.what, what), append(g.who, nil)
	}
	if !slices.Contains(g.who[i], who) {
		g.who[i] = append(g.who[i], who)
	}
}

func (g *together[T]) by(i int) string { return strings.Join(g.who[i], ", ") }

// PrintTables writes tables as text, as Terminal does; one that is too wide is turned.
func PrintTables(w io.Writer, tables []*Table, color bool, width int) error {
	t := &terminal{color: color, width: max(width, 40)}
	for i, table := range tables {
		if i > 0 {
			t.line("")
		}
		t.table(table)
		for _, n := range table.Notes {
			t.wrap("  ", n)
		}
	}
	_, err := io.WriteString(w, strings.ReplaceAll(t.b.String(), "\u00a0", " "))
	return err
}
