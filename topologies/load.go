package topologies

import (
	"fmt"
	"os"
	"path/filepath"

	"crossroads/proxies/config/strict"
)

// Load reads an experiment file. Files that it names are taken relative to it and must exist. An error is strict.Faults (everything
// wrong with the file, in its order) unless the file could not be read at all.
func Load(file string) (*Experiment, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the experiment: %w", err)
	}
	e, doc := parse(file, data)
	if r := &e.Load.Arrivals.Recorded; *r != "" {
		if !filepath.IsAbs(*r) {
			*r = filepath.Join(filepath.Dir(file), *r)
		}
		if *r, err = filepath.Abs(*r); err == nil {
			err = readable(*r)
		}
		if err != nil {
			doc.Report("$.load.arrivals.recorded", "recorded arrivals: %s", err)
		}
	}
	return result(e, doc)
}

func readable(file string) error {
	f, err := os.Open(file)
	if err == nil {
		err = f.Close()
	}
	return err
}

// Parse reads an experiment from data; file names it in faults.
func Parse(file string, data []byte) (*Experiment, error) { return result(parse(file, data)) }

func result(e *Experiment, doc *strict.Document) (*Experiment, error) {
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return e, nil
}

// parse reads, composes, fills in and checks; the order is what makes a fault point at what was written.
func parse(file string, data []byte) (*Experiment, *strict.Document) {
	e := &Experiment{}
	doc, _ := strict.Decode(file, data, e)
	if doc.Broken() {
		return e, doc
	}
	c := checker{e: e, doc: doc, file: file, own: ownKeys(e, doc)}
	compose(e, doc)
	e.settle()
	c.experiment()
	return e, doc
}

// settle fills in what follows from other keys and takes out what is switched off.
func (e *Experiment) settle() {
	e.Load.settle()
	for _, name := range e.Topologies.Keys() {
		t := e.Topologies.At(name)
		if t.Mesh != nil {
			t.Mesh.settle()
			if t.Mesh.Sidecars == SidecarsNone {
				t.Mesh = nil
			}
		}
		if t.Gateway != nil {
			t.Gateway.settle()
		}
		e.Topologies.Set(name, t)
	}
	e.settleCredentials()
	e.settleEntry()
}

// Marshal writes the resolved experiment: every default spelled out, extends composed. Its bytes are stable, and Parse reads the
// same experiment from them.
func Marshal(e *Experiment) ([]byte, error) {
	data, err := strict.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("write the experiment %s: %w", e.Name, err)
	}
	return data, nil
}
