package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"crossroads/reports/figure"
)

// Write writes every form of the report into dir: index.html, figures/*.svg and *.png, summary.md and report.json. It is written
// beside dir first and then put in its place by a rename, so that dir never holds half a report.
func Write(dir string, r *Report) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("making the directory of the reports: %w", err)
	}
	fresh, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+"-")
	if err != nil {
		return fmt.Errorf("making room for the report: %w", err)
	}
	defer os.RemoveAll(fresh)
	if err := fill(fresh, dir, r); err != nil {
		return fmt.Errorf("writing the report of %s: %w", r.Header.ID, err)
	}
	if err := os.Chmod(fresh, 0o755); err != nil {
		return fmt.Errorf("opening the report to readers: %w", err)
	}
	return swap(fresh, dir)
}

// swap puts fresh in the place of dir. An older report stands aside until the new one is there.
func swap(fresh, dir string) error {
	old := fresh + ".old"
	if err := os.Rename(dir, old); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("moving the older report away: %w", err)
	}
	if err := os.Rename(fresh, dir); err != nil {
		_ = os.Rename(old, dir) // the older report is better than none; the first error is the one to tell
		return fmt.Errorf("putting the report in its place: %w", err)
	}
	return os.RemoveAll(old)
}

func fill(fresh, dir string, r *Report) error {
	if err := os.Mkdir(filepath.Join(fresh, "figures"), 0o755); err != nil {
		return err
	}
	for _, f := range r.figures() {
		d := figure.New(f)
		if err := file(fresh, filepath.Join("figures", f.ID+".svg"), d.SVG); err != nil {
			return err
		}
		if err := file(fresh, filepath.Join("figures", f.ID+".png"), d.PNG); err != nil {
			return err
		}
	}
	base := relative(dir, r.run)
	return firstError(
		file(fresh, "index.html", func(w io.Writer) error { return WriteHTML(w, r, base) }),
		file(fresh, "summary.md", func(w io.Writer) error { return Markdown(w, r) }),
		file(fresh, "report.json", func(w io.Writer) error { return JSON(w, r) }),
	)
}

// JSON writes the model as one document.
func JSON(w io.Writer, r *Report) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// relative is the way from the report to the records, "" where there is none.
func relative(dir, run string) string {
	if run == "" {
		return ""
	}
	from, err1 := filepath.Abs(dir)
	to, err2 := filepath.Abs(run)
	if err1 != nil || err2 != nil {
		return ""
	}
	way, err := filepath.Rel(from, to)
	if err != nil {
		return ""
	}
	return way
}

func file(dir, name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644)
}

func firstError(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
