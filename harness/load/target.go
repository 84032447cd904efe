package load

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// entry is one base URL, resolved: names are looked up before the start, never while measuring.
type entry struct {
	address net.TCPAddr
	host    string      // for the Host header
	path    string      // prefix, without a slash at its end
	tls     *tls.Config // nil: plaintext
}

// message is one declared request as it goes to one entry: prefix, sequence number, suffix.
type message struct {
	prefix, suffix []byte
	toHead         bool
	ledger         bool // some of them ask for a ledger
}

func (t Target) validate() error {
	if len(t.Entries) == 0 {
		return errors.New("no entry to send the load to")
	}
	if len(t.Requests) == 0 {
		return errors.New("no request to send")
	}
	if n := len(t.routes().urls); t.Connections < n {
		return fmt.Errorf("%d connections for %d entries: each entry needs one at least", t.Connections, n)
	}
	if t.Timeout <= 0 {
		return fmt.Errorf("timeout %v: must be above zero", t.Timeout)
	}
	for i, r := range t.Requests {
		for _, part := range append(r.parts(), r) {
			if err := part.validate(); err != nil {
				return fmt.Errorf("request %d (%s %s): %w", i+1, part.Method, part.Path, err)
			}
		}
	}
	return nil
}

func (r Request) validate() error {
	if !httpguts.ValidHeaderFieldName(r.Method) {
		return errors.New("the method is not a token")
	}
	if !strings.HasPrefix(r.Path, "/") || strings.ContainsFunc(r.Path, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '#' }) {
		return errors.New("the path must begin with / and hold no space, control character or #")
	}
	for _, h := range r.Headers {
		if !httpguts.ValidHeaderFieldName(h[0]) || !httpguts.ValidHeaderFieldValue(h[1]) {
			return fmt.Errorf("header %q: not a valid name and value", h[0])
		}
		for _, reserved := range []string{SeqHeader, "Content-Length", "Transfer-Encoding", "Connection"} {
			if strings.EqualFold(h[0], reserved) {
				return fmt.Errorf("header %s is the driver's own", reserved)
			}
		}
	}
	return nil
}

// resolve looks up base URLs. An https entry is believed where its certificate is of the roots, in PEM; none: of the system's.
func resolve(urls []string, roots string) ([]entry, error) {
	var believed *x509.CertPool
	if roots != "" {
		if believed = x509.NewCertPool(); !believed.AppendCertsFromPEM([]byte(roots)) {
			return nil, errors.New("the roots of the target hold no certificate in PEM")
		}
	}
	var entries []entry
	for _, base := range urls {
		u, err := url.Parse(base)
		if err != nil || ports[u.Scheme] == "" || u.Hostname() == "" || u.RawQuery != "" || u.User != nil {
			return nil, fmt.Errorf("entry %q: must be http://host:port or https://host:port, with a path at most", base)
		}
		port := cmp.Or(u.Port(), ports[u.Scheme])
		address, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(u.Hostname(), port))
		if err != nil {
			return nil, fmt.Errorf("entry %s: %w", base, err)
		}
		e := entry{address: *address, host: u.Host, path: strings.TrimSuffix(u.EscapedPath(), "/")}
		if u.Scheme == "https" {
			e.tls = clientTLS(u.Hostname(), believed)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// ports are those of the schemes that the drivers speak.
var ports = map[string]string{"http": "80", "https": "443"}

// message writes the request out, all but the sequence number.
func (r Request) message(e entry) message {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%s HTTP/1.1\r\n", r.Method, e.path, r.Path)
	host := e.host
	for _, h := range r.Headers {
		if strings.EqualFold(h[0], "Host") {
			host = h[1]
		}
	}
	fmt.Fprintf(&b, "Host: %s\r\n", host)
	for _, h := range r.Headers {
		if !strings.EqualFold(h[0], "Host") {
			fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
		}
	}
	if r.needsLength() {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.Body))
	}
	b.WriteString(SeqHeader + ": ")
	return message{
		prefix: []byte(b.String()),
		suffix: append([]byte("\r\n\r\n"), r.Body...),
		toHead: r.Method == "HEAD",
	}
}

// needsLength follows RFC 9110 8.6: a method that defines a body says its length even where that is zero.
func (r Request) needsLength() bool {
	switch r.Method {
	case "POST", "PUT", "PATCH":
		return true
	}
	return len(r.Body) > 0
}

// append writes the whole request with its sequence number.
func (m *message) append(to []byte, seq int, asked bool) []byte {
	to = append(to, m.prefix...)
	to = strconv.AppendInt(to, int64(seq), 10)
	if asked {
		to = append(to, "\r\n"+LedgerHeader+": 1"...)
	}
	return append(to, m.suffix...)
}
