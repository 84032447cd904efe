package config

import (
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// checker reports what is wrong with the meaning of one file, among the faults that decoding found.
type checker struct {
	doc *strict.Document
	dir string // of the file: where relative paths in it start
}

// fault reports what is wrong at a path such as $.routes[0].timeout.
func (c *checker) fault(path, format string, args ...any) { c.doc.Report(path, format, args...) }

func (c *checker) version(v int) {
	if v != 1 {
		c.fault("$.version", "version is %d: this program reads version 1; write `version: 1`", v)
	}
}

// oneOf reports a word that is not among the known ones.
func (c *checker) oneOf(path, what, value string, known ...string) {
	if slices.Contains(known, value) {
		return
	}
	c.fault(path, "%s", strict.Unknown(what, value, known))
}

func (c *checker) mode(path string, m Mode) {
	c.oneOf(path, "mode", string(m), string(Off), string(Shadow), string(On))
}

// address reports what is neither host:port nor unix:/path. A listener may leave the host out and ask for port 0.
func (c *checker) address(path, address string, listener bool) {
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		if !filepath.IsAbs(socket) {
			c.fault(path, "%q is not a Unix socket: write unix: and an absolute path", address)
		}
		return
	}
	host, port, err := net.SplitHostPort(address)
	number, portErr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || portErr != nil:
		c.fault(path, "%q is not an address: write host:port, such as 127.0.0.1:8080, or unix:/path", address)
	case host == "" && !listener:
		c.fault(path, "%q names no host", address)
	case number == 0 && !listener:
		c.fault(path, "%q: port 0 cannot be connected to", address)
	}
}

// file reports a missing path and makes a relative one start beside the configuration.
func (c *checker) file(path string, name *string, what string) {
	if *name == "" {
		c.fault(path, "%s is missing", what)
		return
	}
	if !filepath.IsAbs(*name) {
		*name = filepath.Join(c.dir, *name)
	}
}

// spiffeID is the shape that this mesh gives its identities: spiffe://<trust domain>/ns/<namespace>/sa/<service>.
var spiffeID = regexp.MustCompile(`^spiffe://([a-z0-9._-]{1,255})/ns/[A-Za-z0-9._-]+/sa/[A-Za-z0-9._-]+$`)

func (c *checker) spiffe(path, id, trustDomain string) {
	parts := spiffeID.FindStringSubmatch(id)
	switch {
	case parts == nil:
		c.fault(path, "%q is not an identity: write spiffe://<trust domain>/ns/<namespace>/sa/<service>", id)
	case trustDomain != "" && parts[1] != trustDomain:
		c.fault(path, "%q is not in the trust domain %q", id, trustDomain)
	}
}

// within reports a part that lasts longer than its whole; zero means no limit for either.
func (c *checker) within(path string, part, whole units.Duration, what string) {
	if part > 0 && whole > 0 && part > whole {
		c.fault(path, "%s is longer than %s, which is %s", part, what, whole)
	}
}

func (c *checker) notNegative(path string, n int) {
	if n < 0 {
		c.fault(path, "%d is negative: write 0 for no limit, or a number above it", n)
	}
}
