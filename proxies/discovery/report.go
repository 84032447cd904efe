package discovery

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"crossroads/proxies/config"
	"crossroads/proxies/edges"
	"crossroads/proxies/identity"
)

// Pauses of a Reporter that is not heard: from a window to this.
const longestSilence = 30 * time.Second

// Reporter tells the control plane what a proxy sees of its edges: one window after the other, each told once or lost. It runs
// beside the data path and nothing waits for it.
type Reporter struct {
	address string
	source  *identity.Source
	cut     func(now time.Time) edges.Report // called by one goroutine
	log     *slog.Logger
	pace    edges.Pace // as the control plane last wanted it
	failing bool
	http    http.Transport
}

// NewReporter makes a reporter; cut returns what is new, and its Seconds are filled in here.
func NewReporter(address config.ControlAddress, source *identity.Source, cut func(time.Time) edges.Report, log *slog.Logger) *Reporter {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	dial := func(ctx context.Context, network, to string) (net.Conn, error) {
		d := tls.Dialer{Config: source.ClientConfig(identity.ControlID(source.TrustDomain()))}
		return d.DialContext(ctx, network, to)
	}
	return &Reporter{address: address.Address, source: source, cut: cut, log: log, pace: edges.Pace{Every: 1},
		http: http.Transport{DialTLSContext: dial, MaxIdleConns: 1, IdleConnTimeout: 2 * time.Minute, DisableCompression: true}}
}

// Run reports until ctx ends.
func (r *Reporter) Run(ctx context.Context) {
	if r.source.Wait(ctx) != nil {
		return
	}
	defer r.http.CloseIdleConnections()
	last := time.Now()
	wait := time.Duration(0) // the first report is soon, and empty: its answer says when windows are cut
	failures := 0
	for sleep(ctx, wait) {
		now := time.Now()
		report := r.cut(now)
		report.Format, report.Seconds = edges.Format, max(now.Sub(last).Seconds(), 1e-3)
		last = now
		// Cut together, sent within a tenth of a window: a fleet does not knock in one moment.
		if !sleep(ctx, time.Duration(rand.Float64()*r.pace.Every/10*1e9)) {
			return
		}
		err := r.send(ctx, &report)
		wait = r.next(err, &failures, time.Since(now))
	}
}

// next says how long to wait for the next window, since the last one was cut some time ago.
func (r *Reporter) next(err error, failures *int, since time.Duration) time.Duration {
	every := time.Duration(r.pace.Every * 1e9)
	if err != nil {
		if !r.failing {
			r.log.Warn("the control plane does not hear of the edges; what is seen meanwhile is lost", "address", r.address, "error", err)
		}
		r.failing = true
		*failures++
		return max(min(every<<min(*failures, 6), longestSilence)-since, 0)
	}
	if r.failing {
		r.log.Info("the control plane hears of the edges again", "address", r.address)
	}
	r.failing, *failures = false, 0
	return time.Duration(r.pace.Next * 1e9)
}

// send makes one request. A connection is kept for the next; whatever goes wrong ends it, so that the next one is proved afresh.
func (r *Reporter) send(ctx context.Context, report *edges.Report) (err error) {
	text, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("writing a report: %w", err)
	}
	if len(text) > edges.MaxReport {
		return fmt.Errorf("a report of %d bytes is left out: at most %d are taken", len(text), edges.MaxReport)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	defer func() {
		if err != nil {
			r.http.CloseIdleConnections()
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+r.address+edges.Path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("reporting to the control plane at %s: %w", r.address, err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := r.http.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("reporting to the control plane at %s: %w", r.address, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("reporting to the control plane at %s: %w", r.address, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the control plane at %s answered a report with status %d", r.address, response.StatusCode)
	}
	return r.listen(answer)
}

// listen reads when the next window is wanted, within reason.
func (r *Reporter) listen(answer []byte) error {
	var p edges.Pace
	if err := json.Unmarshal(answer, &p); err != nil {
		return fmt.Errorf("the answer to a report: %w", err)
	}
	p.Every = min(max(p.Every, 0.1), 60)
	p.Next = min(max(p.Next, 0.05), 2*p.Every)
	r.pace = p
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
