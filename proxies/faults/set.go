package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"crossroads/proxies/config"
)

// Set is every plan of one proxy. The zero Set is of one in which nothing goes wrong.
type Set struct {
	Inbound, Outbound, Own *Plan // nil: nothing goes wrong there; Own is of the proxy itself

	told  bool
	check func(*config.Faults) error // of what it is told
	log   *slog.Logger
}

// New makes the plans that a configuration asks for, and says so loudly: nobody should find out by the metrics that a proxy was told to
// fail. check refuses rules that this proxy cannot be told.
func New(c *config.Faults, counted func(direction, at string), check func(*config.Faults) error, log *slog.Logger) Set {
	s := Set{told: c.Told, check: check, log: log}
	s.Inbound, s.Outbound, s.Own = Of(c, "inbound", counted, nil), Of(c, "outbound", counted, nil), Of(c, "", counted, nil)
	s.warn("its configuration says so", c.Rules)
	return s
}

func (s *Set) warn(why string, rules []config.FaultRule) {
	for _, r := range rules {
		s.log.Warn("FAULTS ARE INJECTED ON PURPOSE: this proxy fails because "+why, "direction", r.Direction, "at", r.At, "share", r.Share.String(),
			"after", r.After.String(), "for", r.For.String(), "delay", r.Delay.String(), "abort", r.Abort, "reset", r.Reset)
	}
}

// Tell puts rules in force beside those of the file, in the place of those told before; none takes those back.
func (s *Set) Tell(c *config.Faults) error {
	if err := s.check(c); err != nil {
		return err
	}
	s.warn("it was told to", c.Rules)
	for _, p := range []*Plan{s.Inbound, s.Outbound, s.Own} {
		p.Tell(c.Rules)
	}
	return nil
}

// maxTold bounds what it is told at once, in bytes.
const maxTold = 64 << 10

// Handler takes rules while the proxy runs: PUT with an object as in the file, DELETE takes them back. It is nil where the file does not
// allow it.
func (s *Set) Handler() http.Handler {
	if !s.told {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &config.Faults{}
		var err error
		switch r.Method {
		case http.MethodPut:
			err = readTold(http.MaxBytesReader(w, r.Body, maxTold), c)
		case http.MethodDelete:
		default:
			w.Header().Set("Allow", "PUT, DELETE")
			http.Error(w, "PUT tells faults, DELETE takes them back", http.StatusMethodNotAllowed)
			return
		}
		if err == nil {
			err = s.Tell(c)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnprocessableEntity)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// readTold reads rules as strictly as a file. A share that is left out is all.
func readTold(body io.Reader, c *config.Faults) error {
	var told struct {
		Rules []toldRule `json:"rules"`
	}
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(&told); err != nil {
		return fmt.Errorf("reading the faults: %w", err)
	}
	for _, r := range told.Rules {
		c.Rules = append(c.Rules, config.FaultRule(r))
	}
	return nil
}

// toldRule is a rule that begins with its defaults.
type toldRule config.FaultRule

// UnmarshalJSON implements json.Unmarshaler.
func (r *toldRule) UnmarshalJSON(text []byte) error {
	(*config.FaultRule)(r).SetDefaults()
	type plain toldRule
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode((*plain)(r))
}
