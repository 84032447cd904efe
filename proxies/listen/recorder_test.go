package listen_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// forwarded is one complete request as it reached the origin, byte for byte.
type forwarded struct {
	Head string
	Body string
}

// recorder is an origin that keeps what it is sent. It reads with a parser of its own, so that a mistake of package wire cannot
// hide itself, and answers each request with its number and target.
type recorder struct {
	address string
	l       net.Listener
	wg      sync.WaitGroup
	mu      sync.Mutex
	seen    []forwarded
	conns   []net.Conn
}

func newRecorder(t testing.TB) *recorder {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &recorder{address: l.Addr().String(), l: l}
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, c)
			r.mu.Unlock()
			r.wg.Add(1)
			go func() {
				defer r.wg.Done()
				defer c.Close()
				r.serve(c)
			}()
		}
	}()
	return r
}

func (r *recorder) close() {
	_ = r.l.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

func (r *recorder) take() []forwarded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

func (r *recorder) serve(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		f, err := readForwarded(in)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.seen = append(r.seen, f)
		n := len(r.seen)
		r.mu.Unlock()
		body := fmt.Sprintf("%d %s", n, f.target())
		head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
		if strings.HasPrefix(f.Head, "HEAD ") {
			body = ""
		}
		if _, err := io.WriteString(c, head+body); err != nil {
			return
		}
	}
}

// readForwarded reads one request the naive way: a head up to the empty line, a body by Transfer-Encoding, else Content-Length.
func readForwarded(in *bufio.Reader) (f forwarded, err error) {
	var head bytes.Buffer
	for !bytes.HasSuffix(head.Bytes(), []byte("\r\n\r\n")) {
		b, err := in.ReadByte()
		if err != nil {
			return f, err
		}
		head.WriteByte(b)
	}
	f.Head = head.String()
	if strings.EqualFold(f.get("Transfer-Encoding"), "chunked") {
		f.Body, err = readChunks(in)
		return f, err
	}
	n, _ := strconv.Atoi(f.get("Content-Length"))
	body := make([]byte, n)
	_, err = io.ReadFull(in, body)
	f.Body = string(body)
	return f, err
}

func readChunks(in *bufio.Reader) (string, error) {
	var body strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(line, "\r\n"), 16, 64)
		if err != nil {
			return "", err
		}
		if _, err := io.CopyN(&body, in, n); err != nil {
			return "", err
		}
		if _, err := in.ReadString('\n'); err != nil || n == 0 {
			return body.String(), err
		}
	}
}

func (f forwarded) lines() []string {
	return strings.Split(strings.TrimSuffix(f.Head, "\r\n\r\n"), "\r\n")
}
func (f forwarded) method() string { return strings.Split(f.Head, " ")[0] }

func (f forwarded) target() string {
	if parts := strings.Split(f.lines()[0], " "); len(parts) > 1 {
		return parts[1]
	}
	return ""
}

func (f forwarded) path() string {
	p, _, _ := strings.Cut(f.target(), "?")
	return p
}

// all returns the values of a field, in order.
func (f forwarded) all(name string) (values []string) {
	for _, l := range f.lines()[1:] {
		if n, v, ok := strings.Cut(l, ":"); ok && strings.EqualFold(n, name) {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return values
}

func (f forwarded) get(name string) string { return strings.Join(f.all(name), ", ") }

// wellFramed names what is wrong with the framing of a forwarded request; "" is nothing.
func (f forwarded) wellFramed() string {
	lengths, codings := f.all("Content-Length"), f.all("Transfer-Encoding")
	switch {
	case len(lengths) > 0 && len(codings) > 0:
		return "Content-Length with Transfer-Encoding"
	case len(lengths) > 1 || len(lengths) == 1 && !onlyDigits.MatchString(lengths[0]):
		return "Content-Length"
	case len(codings) > 1 || len(codings) == 1 && codings[0] != "chunked":
		return "Transfer-Encoding"
	case len(f.all("Host")) != 1:
		return "Host"
	case strings.ContainsAny(strings.ReplaceAll(f.Head, "\r\n", ""), "\r\n\x00"):
		return "raw CR, LF or NUL"
	}
	for _, l := range f.lines()[1:] {
		if l == "" || l[0] == ' ' || l[0] == '\t' {
			return "folded line"
		}
	}
	return ""
}

var onlyDigits = regexp.MustCompile(`^[0-9]+$`)

// forbidden is the deny rule.
func forbidden(p string) bool {
	if decoded, err := url.PathUnescape(p); err == nil {
		p = decoded
	}
	p = path.Clean("/" + p)
	for _, deny := range []string{"/admin", "/smuggled"} {
		if p == deny || strings.HasPrefix(p, deny+"/") {
			return true
		}
	}
	return false
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
