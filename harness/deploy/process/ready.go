package process

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Pauses between two looks at a process that is not ready yet: short, because a deployment waits for the slowest of a dozen.
const (
	firstPause = 2 * time.Millisecond
	laterPause = 5 * time.Millisecond
	tryTimeout = time.Second
)

// prober asks processes whether they are ready. It keeps no connection open, for an idle one would still count among the sockets
// that are measured later.
var prober = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: tryTimeout}

// proberOf is the prober, or one that believes in certificates of the roots only.
func proberOf(roots string) *http.Client {
	if roots == "" {
		return prober
	}
	believed := x509.NewCertPool()
	believed.AppendCertsFromPEM([]byte(roots))
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: believed}}, Timeout: tryTimeout}
}

// awaitReady asks until the program answers as it should, and the process itself has the port: somebody else's program of the same
// kind, on a port that it took in between, would answer as well. The error says what was heard last.
func awaitReady(ctx context.Context, p program, pid int, ended <-chan struct{}) error {
	pause := firstPause
	for {
		heard := ask(ctx, p)
		if heard == nil {
			heard = listens(pid, p.ready)
		}
		if heard == nil {
			return nil
		}
		select {
		case <-ended:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", heard, context.Cause(ctx))
		case <-time.After(pause):
			pause = laterPause
		}
	}
}

var errEnded = fmt.Errorf("it ended")

func ask(ctx context.Context, p program) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.ready, nil)
	if err != nil {
		return fmt.Errorf("asking for readiness: %w", err)
	}
	response, err := proberOf(p.roots).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(response.Body, 200))
	if response.StatusCode == http.StatusOK {
		return nil
	}
	return fmt.Errorf("GET %s: %s: %s", p.ready, response.Status, body)
}
