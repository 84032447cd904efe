// Package relay is the floor relay: a proxy that does the input and output of ours and nothing else. It accepts a connection, reads a
// request to its end, writes it to a pooled connection, reads the response and writes it back: a goroutine a connection, as in the
// reference proxies, so that what those cost above it is what they do beyond input and output.
//
// Its one invariant: every byte passes as it came. It looks at a head only to find where the message ends (framing.go), sets no field,
// knows no policy, retries nothing, looks at no idle connection before it is used, and keeps no deadline; what fails ends both
// connections. It is an instrument and nothing to put in front of users.
//
// It can be told to be busy for a while with every message: then all that it costs beyond that while, it costs elsewhere.
package relay

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"crossroads/proxies/config"
	"crossroads/proxies/operate"
)

// Relay serves. Make it with New, serve with Run.
type Relay struct {
	places []*place
	admin  *operate.Admin
}

// New opens every listener that the configuration names.
func New(c *config.Relay) (_ *Relay, err error) {
	r := &Relay{}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	for _, one := range c.Listen {
		p, err := openPlace(one, c.Busy.D()/2)
		if err != nil {
			return nil, operate.Hint(err, "another process may hold the address; `listen` in the configuration chooses another")
		}
		r.places = append(r.places, p)
	}
	r.admin, err = operate.NewAdmin(c.Admin.Address, http.HandlerFunc(r.metrics), func() error { return nil })
	if err != nil {
		return nil, operate.Hint(err, "another process may hold the address; `admin.address` in the configuration chooses another")
	}
	r.admin.Page("/relay", func() any { return r.Counts() })
	return r, nil
}

// Counts is what each place has carried, in the order of the file.
func (r *Relay) Counts() []Counts {
	all := make([]Counts, 0, len(r.places))
	for _, p := range r.places {
		all = append(all, p.counts())
	}
	return all
}

// metrics writes the counts in the text format of Prometheus.
func (r *Relay) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprint(w, "# HELP relay_connections_total Connections accepted.\n# TYPE relay_connections_total counter\n")
	for _, c := range r.Counts() {
		fmt.Fprintf(w, "relay_connections_total{place=%q} %d\n", c.Name, c.Accepted)
	}
	fmt.Fprint(w, "# HELP relay_messages_total Requests taken to an endpoint.\n# TYPE relay_messages_total counter\n")
	for _, c := range r.Counts() {
		fmt.Fprintf(w, "relay_messages_total{place=%q} %d\n", c.Name, c.Carried)
	}
}

// Address is where a place listens, by its name; "" where there is none of that name.
func (r *Relay) Address(name string) string {
	for _, p := range r.places {
		if p.Name == name {
			return p.listener.Addr().String()
		}
	}
	return ""
}

// AdminAddress is where the admin listener is.
func (r *Relay) AdminAddress() string { return r.admin.Address() }

// Run serves until ctx ends; there is nothing to drain.
func (r *Relay) Run(ctx, _ context.Context) error {
	var running sync.WaitGroup
	failed := make(chan error, len(r.places)+1)
	start := func(serve func() error) {
		running.Go(func() {
			if err := serve(); err != nil {
				failed <- err
			}
		})
	}
	for _, p := range r.places {
		start(p.serve)
	}
	start(r.admin.Serve)
	var cause error
	select {
	case <-ctx.Done():
	case cause = <-failed:
	}
	r.close()
	running.Wait()
	return cause
}

func (r *Relay) close() {
	for _, p := range r.places {
		p.close()
	}
	if r.admin != nil {
		r.admin.Close()
	}
}
