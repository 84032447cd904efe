package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"syscall"
	"time"

	"crossroads/harness/deploy"
	"crossroads/harness/load"
	"crossroads/harness/workload"
	"crossroads/proxies/config"
	"crossroads/results"
	"crossroads/topologies"
)

// faulting carries out the declared faults of one trial: at their times of the measured block, whatever the target makes of them.
type faulting struct {
	deployment deploy.Deployment
	metering   *metering
	declared   []topologies.Fault
	records    []results.Fault
	tally      tally
	began      time.Time
	work       sync.WaitGroup

	mu      sync.Mutex
	dead    *results.Failure // a process that did not serve again
	missing bool             // a process is never started again
}

// settleTime bounds how long a process that was started again, or told to end, may take.
const settleTime = 15 * time.Second

// newFaulting plans the faults of a trial. With none declared it does nothing.
func newFaulting(e *topologies.Experiment, arm *topologies.Arm, planned results.PlannedTrial, d deploy.Deployment, m *metering) *faulting {
	in := &faulting{deployment: d, metering: m, declared: e.Faults}
	block := time.Duration(planned.Duration)
	for i := range e.Faults {
		f := &e.Faults[i]
		record := results.Fault{Kind: f.Kind(), Text: f.Text(), From: int64(f.At), To: int64(f.Until(block)), Next: int64(block)}
		for _, other := range e.Faults {
			if other.At > f.At {
				record.Next = min(record.Next, int64(other.At))
			}
		}
		for _, n := range f.Targets(arm) {
			record.Acts = append(record.Acts, results.Act{Process: n.ID})
		}
		in.records = append(in.records, record)
	}
	in.tally = newTally(d, in.records)
	return in
}

// stretches are what the driver counts apart: during and after each fault.
func (in *faulting) stretches() []load.Block {
	var all []load.Block
	for _, f := range in.records {
		all = append(all, load.Block{From: time.Duration(f.From), To: time.Duration(f.To)}, load.Block{From: time.Duration(f.To), To: time.Duration(max(f.To, f.Next))})
	}
	return all
}

// see is told what the driver does; the faults start with the block.
func (in *faulting) see(ctx context.Context, e load.Event) {
	if e.Event != load.EventBlockStart || len(in.records) == 0 {
		return
	}
	in.began = time.Now()
	in.tally.begin(ctx, in.began, &in.work)
	for i := range in.records {
		for j := range in.records[i].Acts {
			in.work.Go(func() { in.act(ctx, &in.declared[i], &in.records[i], &in.records[i].Acts[j]) })
		}
	}
}

// act does one fault to one process, and undoes it. The act is this goroutine's until the work is done.
func (in *faulting) act(ctx context.Context, f *topologies.Fault, record *results.Fault, a *results.Act) {
	if !in.sleepUntil(ctx, record.From) {
		a.Error = "the trial ended before"
		return
	}
	bounded, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	a.From = int64(time.Since(in.began))
	if err := in.begin(bounded, f, a.Process); err != nil {
		a.Error = err.Error()
		return
	}
	if f.For == 0 {
		in.mu.Lock()
		in.missing = true
		in.mu.Unlock()
		return
	}
	if !in.sleepUntil(ctx, record.To) {
		return
	}
	again, stop := context.WithTimeout(ctx, settleTime)
	defer stop()
	a.To = int64(time.Since(in.began))
	if err := in.undo(again, f, a.Process); err != nil && ctx.Err() == nil {
		in.mu.Lock()
		in.dead = &results.Failure{Process: a.Process, Reason: "not itself again after a fault: " + err.Error()}
		in.mu.Unlock()
		return
	}
	a.Ready = int64(time.Since(in.began))
}

func (in *faulting) sleepUntil(ctx context.Context, at int64) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Until(in.began.Add(time.Duration(at)))):
		return true
	}
}

func (in *faulting) begin(ctx context.Context, f *topologies.Fault, id string) error {
	switch f.Kind() {
	case topologies.FaultPause:
		return in.deployment.Pause(ctx, id, true)
	case topologies.FaultKill:
		in.metering.ending(id)
		return in.deployment.End(ctx, id, syscall.SIGKILL)
	case topologies.FaultTerminate:
		in.metering.ending(id)
		return in.deployment.End(ctx, id, syscall.SIGTERM)
	}
	return in.tell(ctx, id, workload.FaultPath, http.MethodPut, told(f))
}

// told is what a process hears of a fault that it does to itself: a workload in its own words, a proxy in those of its configuration.
func told(f *topologies.Fault) any {
	point := ""
	switch f.Kind() {
	case topologies.FaultExpire:
		point = config.AtRenewal
	case topologies.FaultStale:
		point = config.AtSnapshot
	default:
		return workload.Fault{Errors: f.Errors.F(), Delay: f.Delay.D(), Reset: f.Reset.F()}
	}
	return map[string]any{"rules": []map[string]any{{"at": point, "reset": true}}}
}

func (in *faulting) undo(ctx context.Context, f *topologies.Fault, id string) error {
	switch f.Kind() {
	case topologies.FaultPause:
		return in.deployment.Pause(ctx, id, false)
	case topologies.FaultService, topologies.FaultStale:
		return in.tell(ctx, id, workload.FaultPath, http.MethodDelete, nil)
	case topologies.FaultExpire:
		if err := in.tell(ctx, id, workload.FaultPath, http.MethodDelete, nil); err != nil {
			return err
		}
		return in.proven(ctx, id)
	}
	if err := in.deployment.Start(ctx, id); err != nil {
		return err
	}
	if p, known := processOf(in.deployment, id); known {
		in.metering.back(p)
	}
	return nil
}

func processOf(d deploy.Deployment, id string) (deploy.Process, bool) {
	for _, p := range d.Processes() {
		if p.ID == id {
			return p, true
		}
	}
	return deploy.Process{}, false
}

// proven waits until a proxy holds a valid SVID again: it tries with growing pauses, which are part of what the fault did.
func (in *faulting) proven(ctx context.Context, id string) error {
	for {
		err := in.tell(ctx, id, "/readyz", http.MethodGet, nil)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tell asks something of a process itself, past every proxy: of a workload, or of a proxy's admin listener.
func (in *faulting) tell(ctx context.Context, id, path, method string, f any) error {
	p, known := processOf(in.deployment, id)
	if !known {
		return fmt.Errorf("telling %s of a fault: the deployment has no such process", id)
	}
	var body bytes.Buffer
	if err := json.NewEncoder(&body).Encode(f); err != nil {
		return fmt.Errorf("telling %s of a fault: %w", id, err)
	}
	q, err := http.NewRequestWithContext(ctx, method, p.Admin+path, &body)
	if err != nil {
		return fmt.Errorf("telling %s of a fault: %w", id, err)
	}
	s, err := sideClient.Do(q)
	if err != nil {
		return fmt.Errorf("telling %s of a fault: %w", id, err)
	}
	said, _ := io.ReadAll(io.LimitReader(s.Body, 200))
	if err := s.Body.Close(); err == nil && s.StatusCode >= 300 {
		return fmt.Errorf("telling %s of a fault: %s: %s", id, s.Status, said)
	}
	return nil
}

// sideClient asks processes beside the load, over connections that are closed at once: an idle one would count among their sockets.
var sideClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// end waits until every fault is over and puts what became of them into the record. whole says that all processes serve again.
func (in *faulting) end(t *results.Trial, result *load.Result) (whole bool) {
	in.work.Wait()
	if len(in.records) == 0 {
		return true
	}
	for i := range in.records {
		f := &in.records[i]
		if result != nil && 2*i+1 < len(result.Tolls) {
			f.During, f.After = in.named(result.Tolls[2*i]), in.named(result.Tolls[2*i+1])
		}
		f.Edges = in.tally.between(f.From, f.Next)
	}
	t.Faults = in.records
	if result != nil {
		t.Moments = result.Moments
	}
	if in.dead != nil && t.Failure == nil {
		t.Failure = in.dead
	}
	return !in.missing && in.dead == nil
}

// named gives the entries of a toll their names in place of their numbers.
func (in *faulting) named(t results.Toll) *results.Toll {
	for i, e := range in.deployment.Entries() {
		if i < len(t.Entries) {
			t.Entries[i].Entry = e.Name
		}
	}
	if t.Due == 0 {
		return nil
	}
	return &t
}
