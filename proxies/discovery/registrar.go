package discovery

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/identity"
)

// RegisterPath is where a control plane takes registrations: PUT a Registration and again before its lease ends, DELETE it to end it at
// once. The SVID shown is the claim to the service.
const RegisterPath = "/v1/endpoints"

// Registration is one endpoint of the service that the caller's SVID is of.
type Registration struct {
	Service string `json:"service"`
	Address string `json:"address"` // IP and port; without an IP, the one that the caller comes from
	Weight  int    `json:"weight"`
}

// Registered is the answer to a PUT.
type Registered struct {
	Address string `json:"address"`  // as it is published
	LeaseMS int64  `json:"lease_ms"` // from now on
}

// RegisterRefused is the answer to what is not taken.
type RegisterRefused struct {
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

const (
	registerTimeout = 5 * time.Second
	shortBeat       = 200 * time.Millisecond // between tries, at the least
	firstLease      = 10 * time.Second       // assumed until the control plane says how long one is
)

// Registrar keeps one endpoint registered: a heartbeat each third of the lease, so that two may be lost, and so that everybody has come
// back one lease after a control plane that was away.
type Registrar struct {
	url     string
	source  *identity.Source
	what    Registration
	client  *http.Client
	options Options

	mu     sync.Mutex
	status RegistrarStatus
}

// RegistrarStatus is what metrics and readiness show of a Registrar.
type RegistrarStatus struct {
	Registered bool   // the lease of the last heartbeat has not ended
	Address    string // as published
	Until      time.Time
	Failures   uint64
	LastError  string // "" while all is well
}

// NewRegistrar makes one; nothing is sent before Run.
func NewRegistrar(address config.ControlAddress, source *identity.Source, what Registration, o Options) *Registrar {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	transport := &http.Transport{
		// Each connection asks for the configuration anew: it follows the SVID.
		DialTLSContext: func(ctx context.Context, network, to string) (net.Conn, error) {
			d := tls.Dialer{Config: source.ClientConfig(identity.ControlID(source.TrustDomain()))}
			return d.DialContext(ctx, network, to)
		},
		MaxIdleConnsPerHost: 1, IdleConnTimeout: 20 * time.Second, DisableCompression: true,
	}
	return &Registrar{url: "https://" + address.Address + RegisterPath, source: source, what: what, client: &http.Client{Transport: transport}, options: o}
}

// Status returns the state of the registration.
func (r *Registrar) Status() RegistrarStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Registered = r.options.Now().Before(s.Until)
	return s
}

// Run registers and keeps the registration until ctx ends; then use Leave.
func (r *Registrar) Run(ctx context.Context) {
	if r.source.Wait(ctx) != nil {
		return
	}
	lease, failures := firstLease, 0
	for ctx.Err() == nil {
		given, err := r.beat(ctx)
		if err == nil {
			lease, failures = given, 0
		} else if ctx.Err() == nil {
			failures++
			r.failed(err, failures)
		}
		wait(ctx, r.pause(lease, failures))
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// pause is a third of the lease; after failures it doubles up to that. A quarter of it is drawn at random, so that what was started
// together does not come together.
func (r *Registrar) pause(lease time.Duration, failures int) time.Duration {
	pause := lease / 3
	if failures > 0 {
		pause = min(pause, shortBeat<<min(failures-1, 10))
	}
	pause = max(pause, shortBeat)
	return pause - time.Duration(r.options.Random()*float64(pause)/4)
}

// beat sends one heartbeat and returns the lease.
func (r *Registrar) beat(ctx context.Context) (time.Duration, error) {
	began := r.options.Now() // the lease is counted from before the request: never longer than the control plane counts it
	text, err := r.ask(ctx, http.MethodPut, http.StatusOK)
	if err != nil {
		return 0, err
	}
	var answer Registered
	if err := json.Unmarshal(text, &answer); err != nil || answer.LeaseMS <= 0 {
		return 0, fmt.Errorf("the control plane's answer is no lease: %q", text)
	}
	lease := time.Duration(answer.LeaseMS) * time.Millisecond
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status.Address == "" || r.status.LastError != "" {
		r.options.Log.Info("registered", "service", r.what.Service, "address", answer.Address, "lease", lease)
	}
	r.status.Address, r.status.Until, r.status.LastError = answer.Address, began.Add(lease), ""
	return lease, nil
}

func (r *Registrar) failed(err error, failures int) {
	r.mu.Lock()
	r.status.Failures++
	r.status.LastError = err.Error()
	r.mu.Unlock()
	r.options.Log.Warn("not registered with the control plane", "service", r.what.Service, "tries", failures, "error", err)
}

// Leave ends the registration, so that callers turn away before the listener closes. Where the control plane cannot be reached the
// lease ends by itself.
func (r *Registrar) Leave(ctx context.Context) error {
	defer r.client.CloseIdleConnections()
	if _, err := r.ask(ctx, http.MethodDelete, http.StatusNoContent); err != nil {
		return fmt.Errorf("ending the registration of %s: %w", r.what.Service, err)
	}
	r.mu.Lock()
	r.status.Until = time.Time{}
	r.mu.Unlock()
	return nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 10

func (r *Registrar) ask(ctx context.Context, method string, want int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	body, err := json.Marshal(r.what)
	if err != nil {
		return nil, fmt.Errorf("writing the registration: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, method, r.url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the registration: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := r.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if response.StatusCode == want {
		return text, nil
	}
	var refused RegisterRefused
	if json.Unmarshal(text, &refused) != nil || refused.Reason == "" {
		if response.StatusCode == http.StatusNotFound {
			return nil, errors.New("the control plane takes no registrations: its file has no `registration`")
		}
		return nil, fmt.Errorf("status %d", response.StatusCode)
	}
	return nil, fmt.Errorf("status %d, %s: %s", response.StatusCode, refused.Reason, refused.Detail)
}
