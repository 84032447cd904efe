// Command checkreport fails where a run's records or its report are missing or invalid.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"crossroads/results"
)

func main() {
	run := flag.String("run", "", "run directory")
	report := flag.String("report", "", "report directory")
	arms := flag.String("arms", "", "arms that must have been measured, separated by commas")
	flag.Parse()
	if err := errors.Join(checkRun(*run, strings.Split(*arms, ",")), checkReport(*report, strings.Split(*arms, ","))); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	fmt.Println("records and report are whole")
}

// checkRun wants a record for every planned trial, none excluded, and answers in every arm.
func checkRun(dir string, arms []string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	run, err := results.Open(dir)
	if err != nil {
		return err
	}
	defer run.Close()
	trials, warnings, err := run.Trials()
	if err != nil || len(warnings) > 0 {
		return fmt.Errorf("reading trials: %v %v", warnings, err)
	}
	exclusions, _, err := run.Exclusions()
	if err != nil || len(exclusions) > 0 {
		return fmt.Errorf("arms were excluded: %v %v", exclusions, err)
	}
	if missing := results.Missing(run.Plan, trials, exclusions); len(missing) > 0 {
		return fmt.Errorf("%d of %d planned trials have no record", len(missing), len(run.Plan.Trials))
	}
	answered := map[string]int64{}
	for _, t := range trials {
		if t.Outcome == results.Failed {
			return fmt.Errorf("trial %s failed: %+v", t.ID, t.Failure)
		}
		if t.Counts.Errors > t.Counts.Declared {
			return fmt.Errorf("trial %s has errors: %v %v", t.ID, t.Errors, t.Statuses)
		}
		answered[t.Arm] += t.Counts.Done
	}
	for _, arm := range arms {
		if answered[arm] == 0 {
			return fmt.Errorf("arm %s has no answered request", arm)
		}
	}
	return nil
}

var remote = regexp.MustCompile(`(?i)(src|href)="https?://`)

// checkReport wants a self-contained page that names every arm, figures that are pictures, and the model beside them.
func checkReport(dir string, arms []string) error {
	page, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil {
		return err
	}
	if len(page) > 500<<10 {
		return fmt.Errorf("the page has %d bytes, more than 500 KiB", len(page))
	}
	if at := remote.Find(page); at != nil {
		return fmt.Errorf("the page is not self-contained: %s", at)
	}
	for _, must := range append(arms, "Content-Security-Policy", "<svg", "</html>") {
		if !strings.Contains(string(page), must) {
			return fmt.Errorf("the page lacks %q", must)
		}
	}
	model, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		return err
	}
	if !json.Valid(model) {
		return errors.New("report.json is not JSON")
	}
	figures, err := filepath.Glob(filepath.Join(dir, "figures", "*.png"))
	if err != nil || len(figures) < 4 {
		return fmt.Errorf("%d figures, want at least 4: %v", len(figures), err)
	}
	for _, name := range figures {
		if err := checkPicture(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func checkPicture(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		return err
	}
	if b := picture.Bounds(); b.Dx() < 300 || b.Dy() < 150 {
		return fmt.Errorf("a picture of %v", b)
	}
	return nil
}
