package reports

import (
	"crossroads/results"
)

// Build computes the report of a run. A run without one finished trial is ErrNothing.
func Build(run *results.Run) (*Report, error) {
	rec, err := Read(run)
	if err != nil {
		return nil, err
	}
	return FromRecords(rec)
}

// FromRecords computes a report from records alone.
func FromRecords(rec Records) (*Report, error) {
	b, err := newBook(rec)
	if err != nil {
		return nil, err
	}
	if rec.Plan.Search != nil {
		return b.searched()
	}
	r := &Report{
		Schema: Schema, Header: b.header(), Costs: b.costs(), Benefits: b.benefits(), Findings: b.findings(), run: rec.Dir,
	}
	for _, s := range []Section{
		b.loadSection(), b.layersSection(), b.stagesSection(), b.rivalsSection(), b.floorSection(), b.featuresSection(), b.compositionSection(), b.spectrumSection(), b.resourcesSection(), b.timeSection(), b.faultsSection(), b.errorsSection(),
		b.trialsSection(), b.readingSection(), b.reproduceSection(),
	} {
		s.withoutEmptyFigures()
		if len(s.Text) > 0 || len(s.Parts) > 0 {
			r.Sections = append(r.Sections, s)
		}
	}
	return r, nil
}

// withoutEmptyFigures puts the caption of a figure that has nothing to draw in its place.
func (s *Section) withoutEmptyFigures() {
	for i, p := range s.Parts {
		if p.Figure != nil && p.Figure.Empty() {
			s.Text = append(s.Text, p.Figure.Caption)
			s.Parts[i].Figure = nil
		}
	}
}
