package parity

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"crossroads/harness/deploy"
	"crossroads/topologies"
)

// mtls comes to every inbound port as a stranger would: in plaintext, and with TLS but no certificate. Under strict both are refused.
// Under permissive plaintext passes; where it is off, TLS is not spoken. A port on which nobody listens proves nothing, and fails.
func (c *checker) mtls(ctx context.Context) []string {
	m := c.arm.Topology.Mesh
	if m == nil || !c.arm.Inbound(c.arm.Experiment.Application.Entry) || c.arm.RelaySidecars() { // a relay speaks no TLS and asks nobody
		return nil
	}
	sidecars := c.processes(deploy.KindSidecar)
	if len(sidecars) == 0 {
		return one("the deployment lists no sidecar")
	}
	return each(sidecars, func(p deploy.Process) []string {
		address := p.Ports["inbound"]
		plain, reachable := stranger(ctx, address, p.Service, nil)
		if reachable != nil {
			return one("%s: nobody to refuse a stranger on its inbound port: %v", p.ID, reachable)
		}
		secured, _ := stranger(ctx, address, p.Service, &tls.Config{InsecureSkipVerify: true}) // a stranger trusts anybody
		var found []string
		if m.MTLS != topologies.MTLSOff {
			c.beside("mtls", "mtls="+m.MTLS, "plaintext, and TLS without a certificate, at an inbound port", strings.TrimPrefix(verdict(plain)+", "+strings.TrimPrefix(verdict(secured), "was "), "was "))
		}
		if refuses := m.MTLS == topologies.MTLSStrict || m.Authorization == topologies.ModeOn; plain == refuses {
			found = append(found, fmt.Sprintf("%s: a plaintext request %s under mtls: %s", p.ID, verdict(plain), m.MTLS))
		}
		if secured {
			found = append(found, fmt.Sprintf("%s: a TLS client without a certificate was served under mtls: %s", p.ID, m.MTLS))
		}
		if m.MTLS != topologies.MTLSOff {
			found = append(found, c.shake(ctx, "inbound", p.ID, address, anybody())...)
		}
		return found
	})
}

func verdict(served bool) string {
	if served {
		return "was served"
	}
	return "was refused"
}

// stranger asks for the service at an inbound port and says whether it was served: an answer of success. Whatever else happens after
// the connection stands (a closed connection, an alert, an error status) is a refusal; err says that no connection came about.
func stranger(ctx context.Context, address, service string, security *tls.Config) (served bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(earlier(deadline, strangerPatience)); err != nil {
		return false, err
	}
	if security != nil {
		conn = tls.Client(conn, security)
	}
	// In TLS 1.3 the server looks at the client's certificate after the client's handshake is over: only reading shows its verdict.
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", service); err != nil {
		return false, nil
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return false, nil
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode >= 200 && response.StatusCode <= 299, nil
}

// strangerPatience is how long a stranger waits for an answer; silence is a refusal.
const strangerPatience = 2 * time.Second

func earlier(deadline time.Time, patience time.Duration) time.Time {
	if soon := time.Now().Add(patience); soon.Before(deadline) {
		return soon
	}
	return deadline
}
