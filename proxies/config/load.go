package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"crossroads/proxies/config/strict"
)

// LoadGateway reads a gateway's file. The error is strict.Faults where the file could be opened but not accepted.
func LoadGateway(file string) (*Gateway, error) { return load(file, ParseGateway) }

// LoadSidecar reads a sidecar's file.
func LoadSidecar(file string) (*Sidecar, error) { return load(file, ParseSidecar) }

// LoadControl reads a control plane's file.
func LoadControl(file string) (*Control, error) { return load(file, ParseControl) }

// LoadEndpoints reads the file of services that a control plane serves.
func LoadEndpoints(file string) (*Endpoints, error) { return load(file, ParseEndpoints) }

func load[T any](file string, parse func(string, []byte) (*T, error)) (*T, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	return parse(file, data)
}

// ParseGateway reads a gateway's configuration from data; file names it in faults, and relative paths in it start beside it.
func ParseGateway(file string, data []byte) (*Gateway, error) {
	g := &Gateway{}
	g.SetDefaults()
	return parse(file, data, g, func(c *checker) {
		g.resolve(c.doc)
		c.gateway(g)
	})
}

// ParseSidecar reads a sidecar's configuration from data.
func ParseSidecar(file string, data []byte) (*Sidecar, error) {
	s := &Sidecar{}
	s.SetDefaults()
	return parse(file, data, s, func(c *checker) {
		s.resolve(c.doc)
		c.sidecar(s)
	})
}

// ParseControl reads a control plane's configuration from data.
func ParseControl(file string, data []byte) (*Control, error) {
	k := &Control{}
	k.SetDefaults()
	return parse(file, data, k, func(c *checker) { c.control(k) })
}

// ParseEndpoints reads a file of services from data.
func ParseEndpoints(file string, data []byte) (*Endpoints, error) {
	e := &Endpoints{}
	return parse(file, data, e, func(c *checker) {
		e.resolve()
		c.endpoints(e)
	})
}

// parse decodes and then checks what the values mean, also after faults of decoding: a user sees one list. A value that could not
// be decoded keeps its default, so it raises no second fault.
func parse[T any](file string, data []byte, into *T, check func(*checker)) (*T, error) {
	doc, _ := strict.Decode(file, data, into) // its faults stay with the document
	if !doc.Broken() {
		check(&checker{doc: doc, dir: filepath.Dir(file)})
	}
	var faults strict.Faults
	if errors.As(doc.Err(), &faults) {
		return nil, hideSecrets(faults)
	}
	return into, nil
}

// secret finds values that may be a key written where its hash belongs, or a secret where a reference to it does.
var secret = regexp.MustCompile(`(?i)((?:\bsha\w*|client_secret|password)["']?\s*:\s*)("[^"]*"|'[^']*'|[^\s,}{]+)`)

// hideSecrets blanks them in the lines that faults show, at their width, so that carets stay where they point, and in what faults say.
func hideSecrets(faults strict.Faults) strict.Faults {
	for i := range faults {
		f := &faults[i]
		f.Text = secret.ReplaceAllStringFunc(f.Text, func(found string) string {
			key := secret.FindStringSubmatch(found)[1]
			value := strings.Trim(found[len(key):], `"'`)
			f.Message = strings.ReplaceAll(f.Message, strconv.Quote(value), "a text")
			return key + strings.Repeat("*", utf8.RuneCountInString(found)-utf8.RuneCountInString(key))
		})
	}
	return faults
}
