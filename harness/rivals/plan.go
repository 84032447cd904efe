package rivals

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/template"
	"time"

	"crossroads/harness/deploy/process"
	"crossroads/proxies/config"
	"crossroads/topologies"
)

// plan is what a rival's template may use: the declaration, and the reference gateway's own terms.
type plan struct {
	process.RivalSpec
	terms

	KeyAuth bool
	JWT     bool
	Keys    []key
	Limits  []limit

	Routes string // of a rival that keeps them in a file of their own
}

// terms are the reference proxies' own.
type terms struct {
	Workers int  // processes or threads that serve: as many as the reference proxy would use
	Root    bool // the harness runs as root

	facts

	// The reference gateway's defaults, so that a change there changes the rivals too.
	Header    time.Duration // for a whole request head
	Body      time.Duration // silence while a body is due
	KeepAlive time.Duration // idle client connections
	Connect   time.Duration // to the application
	Timeout   time.Duration // for an answer
	Pooled    time.Duration // idle connections to the application
	MaxIdle   int           // of them per endpoint
	MaxHead   int64         // bytes
}

func newTerms(cpus []int) terms {
	var g config.Gateway
	g.SetDefaults()
	var u config.Upstream
	u.SetDefaults()
	var r config.Route
	r.SetDefaults()
	return terms{
		Workers: workers(cpus), Root: os.Geteuid() == 0,
		Header: g.Clients.HeaderTimeout.D(), Body: g.Clients.BodyIdle.D(), KeepAlive: g.Clients.KeepAlive.D(), MaxHead: int64(g.Clients.MaxHead),
		Connect: u.Connect.D(), Timeout: r.Timeout.D(), Pooled: u.Idle.D(), MaxIdle: u.MaxIdle,
	}
}

// newPlan fills in what follows from the specification and from the reference gateway's defaults.
func newPlan(s process.RivalSpec) (*plan, error) {
	p := &plan{RivalSpec: s, terms: newTerms(s.CPUs)}
	if len(s.Upstream) == 0 {
		return nil, fmt.Errorf("%s has no endpoint to forward to", s.ID)
	}
	if err := addresses(s.ID, append([]string{s.Listen, s.Admin}, s.Upstream...)...); err != nil {
		return nil, err
	}
	if (s.Gateway.TLS == topologies.ModeOn) != (s.Entry != nil) {
		return nil, fmt.Errorf("%s: tls at the entry needs a certificate, and a certificate tls: on", s.ID)
	}
	p.stages(s.Gateway.Stages)
	return p, nil
}

// addresses looks at what the templates take apart.
func addresses(id string, all ...string) error {
	for _, address := range all {
		if _, is := variable(address); is {
			continue
		}
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("an address of %s: %w", id, err)
		}
	}
	return nil
}

// workers is as many as the reference gateway runs goroutines at a time: the CPUs it is bound to, or all.
func workers(cpus []int) int {
	if len(cpus) > 0 {
		return len(cpus)
	}
	return runtime.NumCPU()
}

// Ciphers13 and Ciphers12 are the suites of TLS 1.3 and 1.2 towards clients for programs that use OpenSSL, which left to itself puts AES-256
// first: those of the reference gateway for its kind of certificate, in its order.
func (terms) Ciphers13() string { return "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384" }
func (terms) Ciphers12() string { return "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384" }

// Seconds writes a duration for programs that do not read Go's.
func (terms) Seconds(d time.Duration) string { return fmt.Sprintf("%gs", d.Seconds()) }

// Health are the reference gateway's terms of active checks; nil: there are none.
func (p *plan) Health() *config.Health {
	if p.Gateway.Upstream.Health != topologies.ModeOn {
		return nil
	}
	h := &config.Health{}
	h.SetDefaults()
	h.Path = "/healthz"
	return h
}

// Retries, Breaker and LeastRequest say what is declared of the upstream.
func (p *plan) Retries() bool      { return p.Gateway.Upstream.Retries == topologies.ModeOn }
func (p *plan) Breaker() bool      { return p.Gateway.Upstream.Breaker == topologies.ModeOn }
func (p *plan) LeastRequest() bool { return p.Gateway.Upstream.Balance == "least_request" }

// ConnectionsPerWorker is what one worker must be able to hold: both sides of every connection of the load, and those that are pooled.
func (p *plan) ConnectionsPerWorker() int { return 2*p.Connections + 512 }

// file is a path in the private directory, for what the program writes by itself.
func (p *plan) file(suffix string) string { return filepath.Join(p.Private, p.ID+suffix) }

// write renders a template into the deployment's directory of logs and files.
func (p *plan) write(suffix, text string) (string, error) {
	name := filepath.Join(p.Dir, p.ID+suffix)
	switch own, err := p.own(suffix); {
	case err != nil:
		return "", err
	case own != "":
		return name, save(name, own)
	}
	return write(name, text, p, p.file)
}

// write renders a template over what a plan says.
func write(name, text string, plan any, file func(string) string) (string, error) {
	t, err := template.New(filepath.Base(name)).Funcs(template.FuncMap{"host": host, "port": port, "inc": inc, "twice": twice, "file": file}).Parse(text)
	if err != nil {
		return "", fmt.Errorf("reading the template of %s: %w", name, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, plan); err != nil {
		return "", fmt.Errorf("rendering %s: %w", name, err)
	}
	return name, save(name, b.String())
}

func save(name, text string) error {
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing a configuration: %w", err)
	}
	return nil
}

// Pool is how many idle connections to all endpoints together are kept.
func (p *plan) Pool() int { return p.MaxIdle * len(p.Upstream) }

func inc(i int) int { return i + 1 }

func twice(i int) int { return 2 * i }

// host and port split addresses that newPlan has looked at.
func host(address string) string {
	if name, is := variable(address); is {
		return "{{host " + name + "}}"
	}
	h, _, _ := net.SplitHostPort(address)
	return h
}

func port(address string) string {
	if name, is := variable(address); is {
		return "{{port " + name + "}}"
	}
	_, p, _ := net.SplitHostPort(address)
	return p
}

// declared says whether a stage is to do anything.
func declared(mode string) bool { return mode != "" && mode != topologies.ModeOff }
