package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
	"crossroads/proxies/identity"
)

// watchedFiles are files that mean something together. They are compared by content: times of files are too coarse, and an editor
// that replaces a file changes its inode.
type watchedFiles struct {
	name  string // of the metric: authority, tokens, endpoints
	files []string
	use   func() error // reads the files again and puts what they say into force, or changes nothing
	seen  [][]byte
	fault string // why what the files say now is not in force; "" if it is
}

func (k *Control) watches() []*watchedFiles {
	authority := &watchedFiles{name: "authority", use: k.useAuthority}
	if k.config.CA.Certificate != "" {
		authority.files = []string{k.config.CA.Certificate, k.config.CA.Key}
	}
	tokens := &watchedFiles{name: "tokens", use: k.useTokens}
	for _, t := range k.config.Tokens {
		tokens.files = append(tokens.files, t.File)
	}
	return []*watchedFiles{authority, tokens, {name: "endpoints", use: k.useEndpoints, files: []string{k.config.Endpoints}}}
}

// first uses the files for the first time.
func (w *watchedFiles) first() error {
	seen, err := readAll(w.files)
	if err != nil {
		return fmt.Errorf("reading the %s: %w", w.name, err)
	}
	w.seen = seen
	return w.use()
}

// look uses the files again if they changed. It reports whether they had, and whether a fault is new.
func (w *watchedFiles) look() (changed bool, err error) {
	seen, err := readAll(w.files)
	if err != nil {
		isNew := w.fault != err.Error()
		w.fault = err.Error()
		w.seen = nil // whatever comes next is a change
		return isNew, err
	}
	if equal(seen, w.seen) {
		return false, nil
	}
	w.seen = seen
	if err := w.use(); err != nil {
		w.fault = err.Error()
		return true, err
	}
	w.fault = ""
	return true, nil
}

// watch looks at every file until ctx ends.
func (k *Control) watch(ctx context.Context) {
	tick := time.NewTicker(k.options.Poll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for _, w := range k.watched {
			changed, err := w.look()
			switch {
			case !changed:
			case err != nil:
				k.metrics.reloads.WithLabelValues(w.name, "failed").Inc()
				k.metrics.stale.WithLabelValues(w.name).Set(1)
				k.options.Log.Error("changed files are not used; what was read before stays in force", "files", w.name, "error", err)
			default:
				k.metrics.reloads.WithLabelValues(w.name, "ok").Inc()
				k.metrics.stale.WithLabelValues(w.name).Set(0)
				k.options.Log.Info("changed files are in force", "files", w.name)
			}
		}
	}
}

// useAuthority puts the new signing certificate into force before the new roots are announced, so that whoever misses its root
// obtains an SVID that the new ones accept.
func (k *Control) useAuthority() error {
	authority := k.authority.Load()
	if k.source != nil {
		var err error
		if authority, err = identity.ReadAuthority(k.domain, k.config.CA, k.config.Lifetime.D(), k.options.Now); err != nil {
			return err
		}
		k.authority.Store(authority)
		k.source.SetBundle(authority.Bundle())
	}
	return k.catalog.setBundle(string(authority.Bundle().PEM()))
}

func (k *Control) useTokens() error {
	g, err := readGrants(k.config.Tokens, k.domain.Name())
	if err != nil {
		return err
	}
	k.grants.Store(g)
	return nil
}

func (k *Control) useEndpoints() error {
	e, err := config.LoadEndpoints(k.config.Endpoints)
	if err != nil {
		return err
	}
	policies, err := discovery.NewAuthorization(e.Authorization)
	if err != nil {
		return err
	}
	return k.catalog.setServices(servicesOf(e), policies, e.Splits)
}

func readAll(files []string) ([][]byte, error) {
	contents := make([][]byte, len(files))
	var all error
	for i, name := range files {
		text, err := os.ReadFile(name)
		all = errors.Join(all, err)
		contents[i] = text
	}
	return contents, all
}

func equal(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}
