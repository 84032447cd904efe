package parity

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"crossroads/harness/deploy"
	"crossroads/results"
	"crossroads/topologies"
)

// adminPage reads a page of a process's admin listener.
func adminPage(ctx context.Context, p deploy.Process, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Admin+path, nil)
	if err != nil {
		return nil, fmt.Errorf("asking %s for %s: %w", p.ID, path, err)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("asking %s for %s: %w", p.ID, path, unwrapped(err))
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %d: %s", response.StatusCode, shorten(text))
	}
	if err != nil {
		return nil, fmt.Errorf("asking %s for %s: %w", p.ID, path, err)
	}
	return text, nil
}

// authorization asks for a path that the declared policies shut. Where they are on, it is refused by the entry service's sidecar; in a
// dry run it is answered, and the sidecar has counted what would have been.
func (c *checker) authorization(ctx context.Context) []string {
	m := c.arm.Topology.Mesh
	if m == nil || !c.arm.Inbound(c.arm.Experiment.Application.Entry) || m.Use != topologies.Reference {
		return nil
	}
	if c.arm.Opaque() { // has neither path nor status; what admits callers counts
		return c.admitted(ctx)
	}
	service := c.arm.Experiment.Entered()[0]
	shut := c.firstOf(service)
	shut.Path = deploy.ShutPath
	return each(c.entriesOf(service), func(entry deploy.Entry) []string {
		got, err := c.ask(ctx, entry.URL, shut, 0)
		on := m.Authorization == topologies.ModeOn
		switch m.Authorization {
		case topologies.ModeOn:
			c.beside("authorization", "authorization", "a path that a policy shuts", statuses([]int{got.status}))
		case topologies.ModeDryRun:
			c.beside("authorization", "authorization=dry_run", "a path that a policy shuts", "passed, and counted")
		}
		switch {
		case err != nil:
			return one("a request for a shut path at %s: %v", entry.Name, err)
		case on && got.status != http.StatusForbidden:
			return one("a request for a shut path at %s was answered %d where authorization is on: 403 was due", entry.Name, got.status)
		case !on && got.status == http.StatusForbidden:
			return one("a request for a shut path at %s was answered 403 where authorization is not on", entry.Name)
		case on:
			return c.admitted(ctx)
		case m.Authorization == topologies.ModeDryRun:
			return c.decided(ctx, service, deploy.ShutPolicy, "shadow_denied")
		}
		return nil
	})
}

// admitted looks whether the policy that admits callers has decided where it must have: at the entry, which every probe asks.
func (c *checker) admitted(ctx context.Context) []string {
	if c.arm.Topology.Mesh.Authorization != topologies.ModeOn {
		return nil
	}
	service := c.arm.Experiment.Entered()[0]
	return each(c.entriesOf(service), func(entry deploy.Entry) []string {
		if _, found := c.report(ctx, entry.Name, entry.URL, service, 0, "all"); found != nil {
			return found
		}
		return c.decided(ctx, service, deploy.CallersPolicy, "allowed")
	})
}

// decided looks for a decision among the counts of a service's sidecars.
func (c *checker) decided(ctx context.Context, service, policy, decision string) []string {
	for _, p := range c.processes(deploy.KindSidecar) {
		if p.Service != service {
			continue
		}
		text, err := adminPage(ctx, p, "/metrics")
		if err != nil {
			return one("%v", err)
		}
		if counted(text, "sidecar_authorization_decisions_total", fmt.Sprintf("decision=%q", decision), fmt.Sprintf("policy=%q", policy)) {
			return nil
		}
	}
	return one("no sidecar of %s has counted %s by the policy %s", service, decision, policy)
}

// terms reads off the callers' sidecars what shows itself only when something fails: whether they break and retry.
func (c *checker) terms(ctx context.Context) []string {
	m := c.arm.Topology.Mesh
	if m == nil || m.Use != topologies.Reference || c.arm.Opaque() {
		return nil
	}
	return each(c.processes(deploy.KindSidecar), func(p deploy.Process) []string {
		if !c.arm.Outbound(p.Service) {
			return nil
		}
		text, err := adminPage(ctx, p, "/config")
		if err != nil {
			return one("%v", err)
		}
		var file struct {
			Outbound struct {
				Defaults struct{ Breaker struct{ Mode string } }
				Retry    struct{ Attempts int }
			}
		}
		if err := json.Unmarshal(text, &file); err != nil {
			return one("%s does not show its configuration: %v", p.ID, err)
		}
		var found []string
		if m.Breaker == topologies.ModeOn {
			c.told("terms", results.PlaceSidecars, "breaker", "the configuration in force", "breaker on for calls")
		}
		if m.Retries == topologies.ModeOn {
			c.told("terms", results.PlaceSidecars, "retries", "the configuration in force", fmt.Sprintf("%d attempts", file.Outbound.Retry.Attempts))
		}
		if got := file.Outbound.Defaults.Breaker.Mode; got != m.Breaker {
			found = append(found, fmt.Sprintf("%s has the breaker %s where %s is declared", p.ID, got, m.Breaker))
		}
		if got := file.Outbound.Retry.Attempts > 1; got != (m.Retries == topologies.ModeOn) {
			found = append(found, fmt.Sprintf("%s tries %d times where retries: %s is declared", p.ID, file.Outbound.Retry.Attempts, m.Retries))
		}
		return found
	})
}

// app looks in the kernel's table of Unix sockets whether applications and sidecars do talk over theirs: each must have accepted a
// connection that is open. A request that keeps its connection is sent first: relays pass on what the other probes' say of theirs.
func (c *checker) app(ctx context.Context) []string {
	if !c.arm.UnixApp() {
		return nil
	}
	c.beside("app", "app=unix", "the kernel's table of Unix sockets", "application and sidecar have connections there")
	transport := c.client.Transport.(*http.Transport).Clone()
	transport.DisableKeepAlives = false
	keeping := &http.Client{Transport: transport, Timeout: timeout}
	defer keeping.CloseIdleConnections()
	for _, entry := range c.deployment.Entries() {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, entry.URL+c.first().Path, nil)
		if err != nil {
			return one("making a request for %s: %v", entry.Name, err)
		}
		response, err := keeping.Do(request)
		if err != nil {
			return one("a request at %s: %v", entry.Name, unwrapped(err))
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	return each(c.deployment.Processes(), func(p deploy.Process) []string {
		var found []string
		for purpose, address := range p.Ports {
			path, isUnix := strings.CutPrefix(address, "unix:")
			if !isUnix || purpose == "outbound" && (c.arm.Opaque() || c.arm.RelaySidecars()) {
				continue
			}
			switch connected, err := accepted(p.PID, path); {
			case err != nil:
				found = append(found, fmt.Sprintf("%s: %v", p.ID, err))
			case !connected && c.arm.Experiment.Application.Services.At(p.Service).Replicas == 1:
				found = append(found, fmt.Sprintf("%s has no connection at %s where app: unix is declared", p.ID, purpose))
			}
		}
		if c.arm.Inbound(p.Service) && p.Kind == deploy.KindWorkload && p.Ports["app"] == "" {
			found = append(found, fmt.Sprintf("%s has no Unix socket where app: unix is declared", p.ID))
		}
		return found
	})
}

// accepted looks for a connected socket of a path in the process's table (proc_net_unix: number, references, protocol, flags, type, state,
// inode, path; state 03 is connected). Only the accepting end of a connection bears the path.
func accepted(pid int, path string) (bool, error) {
	table, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "net", "unix"))
	if err != nil {
		return false, fmt.Errorf("reading the Unix sockets: %w", err)
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 7 && f[5] == "03" && f[7] == path {
			return true, nil
		}
	}
	return false, nil
}
