package conformance

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Forwarded is one complete request as it reached the origin, byte for byte.
type Forwarded struct {
	Head string
	Body string
}

// errFraming says that the bytes at the origin are no request.
var errFraming = errors.New("unreadable framing")

// readHead reads up to the empty line, the naive way.
func readHead(in *bufio.Reader) (f Forwarded, err error) {
	var head bytes.Buffer
	for !bytes.HasSuffix(head.Bytes(), []byte("\r\n\r\n")) {
		b, err := in.ReadByte()
		if err != nil {
			return f, err
		}
		head.WriteByte(b)
	}
	f.Head = head.String()
	return f, nil
}

// readBody reads by Transfer-Encoding, else by Content-Length, as most servers would.
func readBody(in *bufio.Reader, f Forwarded) (string, error) {
	if strings.EqualFold(f.Get("Transfer-Encoding"), "chunked") {
		return readChunks(in)
	}
	n, _ := strconv.Atoi(f.Get("Content-Length"))
	body := make([]byte, max(n, 0))
	_, err := io.ReadFull(in, body)
	return string(body), err
}

func readChunks(in *bufio.Reader) (string, error) {
	var body strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(line, "\r\n"), 16, 32)
		if err != nil {
			return "", fmt.Errorf("%w: chunk size %q", errFraming, line)
		}
		if _, err := io.CopyN(&body, in, int64(n)); err != nil {
			return "", err
		}
		end, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if end != "\r\n" {
			return "", fmt.Errorf("%w: %q behind a chunk", errFraming, end)
		}
		if n == 0 {
			return body.String(), nil
		}
	}
}

func (f Forwarded) lines() []string {
	return strings.Split(strings.TrimSuffix(f.Head, "\r\n\r\n"), "\r\n")
}

// Method is the first word of the request line.
func (f Forwarded) Method() string { return strings.Split(f.Head, " ")[0] }

// Target is the second word of the request line.
func (f Forwarded) Target() string {
	if parts := strings.Split(f.lines()[0], " "); len(parts) > 1 {
		return parts[1]
	}
	return ""
}

// Path is the target without its query.
func (f Forwarded) Path() string {
	p, _, _ := strings.Cut(f.Target(), "?")
	return p
}

// All returns the values of a field, in order.
func (f Forwarded) All(name string) (values []string) {
	f.each(func(n, v string) {
		if strings.EqualFold(n, name) {
			values = append(values, v)
		}
	})
	return values
}

// Get returns the values of a field as one list.
func (f Forwarded) Get(name string) string { return strings.Join(f.All(name), ", ") }

func (f Forwarded) each(visit func(name, value string)) {
	for _, l := range f.lines()[1:] {
		if n, v, ok := strings.Cut(l, ":"); ok {
			visit(n, strings.TrimSpace(v))
		}
	}
}

var onlyDigits = regexp.MustCompile(`^[0-9]+$`)

// Flaw names what is wrong with the framing of a forwarded request; "" is nothing.
func (f Forwarded) Flaw() string {
	lengths, codings := f.All("Content-Length"), f.All("Transfer-Encoding")
	switch {
	case len(lengths) > 0 && len(codings) > 0:
		return "Content-Length with Transfer-Encoding"
	case len(lengths) > 1 || len(lengths) == 1 && !onlyDigits.MatchString(lengths[0]):
		return "Content-Length"
	case len(codings) > 1 || len(codings) == 1 && codings[0] != "chunked":
		return "Transfer-Encoding"
	case len(f.All("Host")) != 1:
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

// Forbidden is the deny rule, an attacker's aim.
func Forbidden(p string) bool {
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
