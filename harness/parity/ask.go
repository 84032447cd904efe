package parity

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"crossroads/harness/deploy"
	"crossroads/topologies"
)

// client asks like a stranger: no connection is kept, for an idle one would be counted among the sockets measured later, nothing is
// unpacked and no redirection is followed.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true, Proxy: nil, ExpectContinueTimeout: time.Second},
	Timeout:       timeout,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// believing is a client that believes in the certificates of the arm's authority only, where its entries are https with one.
func believing(roots string) *http.Client {
	if roots == "" {
		return client
	}
	transport := client.Transport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: poolOf(roots), MinVersion: tls.VersionTLS12}
	own := *client
	own.Transport = transport
	return &own
}

func poolOf(roots string) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(roots))
	return pool
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) hash() string {
	sum := sha256.Sum256(a.body)
	return hex.EncodeToString(sum[:6])
}

// change alters a declared request for a probe; an empty value takes the field out.
type change struct{ name, value string }

// ask sends a declared request, changed, to a base URL. The sequence number decides every draw of the origin.
func (c *checker) ask(ctx context.Context, base string, declared topologies.Request, seq int, changes ...change) (answer, error) {
	body := bytes.Repeat([]byte{'x'}, int(declared.Body.Size))
	request, err := http.NewRequestWithContext(ctx, method(declared), strings.TrimSuffix(base, "/")+declared.Path, bytes.NewReader(body))
	if err != nil {
		return answer{}, fmt.Errorf("making a request for %s: %w", declared.Path, err)
	}
	request.Header.Set("X-Crossroads-Seq", strconv.Itoa(seq))
	for name, value := range declared.Headers.All() {
		set(request, name, value)
	}
	for _, change := range changes {
		set(request, change.name, change.value)
	}
	response, err := c.client.Do(request)
	if err != nil {
		return answer{}, unwrapped(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, fmt.Errorf("reading the body after %d bytes: %w", len(content), err)
	}
	return answer{response.StatusCode, response.Header, content}, nil
}

func method(r topologies.Request) string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

func set(r *http.Request, name, value string) {
	switch {
	case strings.EqualFold(name, "Host"):
		r.Host = value
	case value == "":
		r.Header.Del(name)
	default:
		r.Header.Set(name, value)
	}
}

// unwrapped leaves the method and the URL, which the finding names itself, out of a client's error.
func unwrapped(err error) error {
	var outer interface{ Unwrap() error }
	if errors.As(err, &outer) && outer.Unwrap() != nil {
		return outer.Unwrap()
	}
	return err
}

// asked is a request to one service: a declared one that goes there as a whole, or one of the calls that a declared one is made of.
type asked struct {
	topologies.Request
	service string
}

// whole is a declared request to the entry.
func (c *checker) whole(r topologies.Request) asked {
	return asked{r, c.arm.Experiment.Application.Entry}
}

// calls are what a declared request is made of, as a client makes them.
func (c *checker) calls(r topologies.Request) []asked {
	var all []asked
	for _, call := range r.Calls {
		one := topologies.Request{Method: http.MethodGet, Path: call.Path}
		one.Headers.Set("Host", call.Service)
		for name, value := range r.Headers.All() {
			one.Headers.Set(name, value)
		}
		all = append(all, asked{one, call.Service})
	}
	return all
}

// single lists the declared requests one service at a time: every call by itself, however an arm makes it.
func (c *checker) single() []asked {
	var all []asked
	for _, r := range c.requests {
		if len(r.Calls) > 0 {
			all = append(all, c.calls(r)...)
		} else {
			all = append(all, c.whole(r))
		}
	}
	return all
}

// first is the request that feature probes are made from.
func (c *checker) first() topologies.Request { return c.firstOf("") }

// firstOf is the first request to a service, or to any.
func (c *checker) firstOf(service string) topologies.Request {
	for _, a := range c.single() {
		if service == "" || a.service == service {
			return a.Request
		}
	}
	return topologies.Request{Path: "/"}
}

// entriesOf are the entries through which a service is called.
func (c *checker) entriesOf(service string) []deploy.Entry {
	return deploy.EntriesOf(c.deployment, c.arm, service)
}
