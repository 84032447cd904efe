package parity

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"

	"crossroads/harness/deploy"
	"crossroads/harness/workload"
)

// mostAsked bounds how many requests, for each replica, may go by until a connection to the application is seen a second time: a pool may hand
// out its connections in turn, and the other probes have left many.
const mostAsked = 64

// keepAlive sends requests over one connection, one after the other, until the application has seen one of the proxy's connections twice: a
// proxy that dials for every request would be compared by its dialling. Nothing else may be asked meanwhile.
func (c *checker) keepAlive(ctx context.Context) []string {
	if before, _ := c.arm.Hops(); before == 0 || c.external() || c.arm.UnixApp() { // over a Unix socket the other end has no name
		return nil
	}
	service := c.arm.Experiment.Entered()[0]
	var found []string
	for _, entry := range c.entriesOf(service) {
		found = append(found, c.keptAt(ctx, entry, service)...)
	}
	return found
}

func (c *checker) keptAt(ctx context.Context, entry deploy.Entry, service string) []string {
	transport := c.client.Transport.(*http.Transport).Clone()
	transport.DisableKeepAlives = false
	defer transport.CloseIdleConnections()
	replicas := max(1, c.arm.Experiment.Application.Services.At(service).Replicas)
	peers := map[string]bool{}
	for i := range mostAsked * replicas {
		reused := false
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(g httptrace.GotConnInfo) { reused = g.Reused }})
		seen, err := c.askKept(traced, transport, entry, service)
		switch {
		case err != nil:
			return one("request %d on one connection at %s: %v", i+1, entry.Name, err)
		case i > 0 && !reused:
			return one("%s closed the client's connection after a request: it was to be kept", entry.Name)
		case i > 0 && peers[seen]:
			c.saw("keep_alive", "keep_alive", "requests one after the other on one connection", "the client's connection is kept, and one to the application is used again")
			return nil
		}
		peers[seen] = true
	}
	return one("%d requests through %s came to the application on as many connections: none was used again", len(peers), entry.Name)
}

// askKept says which replica the request came to, and over which connection.
func (c *checker) askKept(ctx context.Context, transport *http.Transport, entry deploy.Entry, service string) (string, error) {
	declared := c.firstOf(service)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(entry.URL, "/")+declared.Path, nil)
	if err != nil {
		return "", err
	}
	for name, value := range declared.Headers.All() {
		set(request, name, value)
	}
	request.Header.Set(workload.HeaderProbe, "1")
	response, err := (&http.Client{Transport: transport, Timeout: timeout}).Do(request)
	if err != nil {
		return "", unwrapped(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	var p workload.Probe
	if err := json.Unmarshal(text, &p); err != nil || p.Service == "" {
		return "", fmt.Errorf("answered %d and not by the workload: %s", response.StatusCode, shorten(text))
	}
	return fmt.Sprintf("%d %s", p.Replica, p.Peer), nil
}
