//go:build soak

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
	"crossroads/harness/deploy/process"
	"crossroads/topologies"
)

// The length of a run: the mesh is watched for a while, then something goes wrong, then it is seen who notices what.
const (
	quietFor  = 6 * time.Second
	faultFor  = 6 * time.Second
	userRate  = 60 // requests a second
	userLimit = 0.01
	userSpan  = 10 * time.Second // over which the users' error rate is taken
)

// labelled is a fault whose place is known.
type labelled struct{ kind, service string }

// kindsOfFaults go wrong in turn: replica 2 of a service answers with errors, late, or resets connections; it stops; its sidecar dies.
var kindsOfFaults = []string{"errors", "delay", "reset", "pause", "kill"}

// TestSoakCascades keeps the score of cascade detection on the real mesh: ten runs with a labelled fault at a known time, ten without
// any. `-run TestSoakCascades/fault-0` and the like do a part. Precision is the share of alarms that name the place, recall the share
// of faults that are named; the time to detect is from the fault to the alarm, and beside it stands when the users' error rate, over
// the last ten seconds, passed 1%.
func TestSoakCascades(t *testing.T) {
	data, ok := topologies.Ready("cascade")
	require.True(t, ok)
	e, err := topologies.Parse("cascade.yaml", data)
	require.NoError(t, err)
	arm, ok := e.Arm("mesh")
	require.True(t, ok)
	var score score
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 4))
		services := []string{"payments", "price", "stock", "ledger", "currency"}
		fault := labelled{kindsOfFaults[seed%5], services[random.IntN(len(services))]}
		t.Run(fmt.Sprintf("fault-%d", seed), func(t *testing.T) { score.add(t, fault, watched(t, arm, fault)) })
		t.Run(fmt.Sprintf("quiet-%d", seed), func(t *testing.T) { score.add(t, labelled{}, watched(t, arm, labelled{})) })
	}
	score.settle(t)
}

// sighting is what became of one run.
type sighting struct {
	alarms []alarmSeen
	fault  time.Time
	passed time.Duration // after the fault: the users' error rate passed the limit; -1: it never did
	users  int
	failed int
}

type alarmSeen struct {
	Root   struct{ Source, Destination string }
	Kind   string
	Onset  time.Time
	Raised time.Time
}

// watched runs the mesh under load, lets the fault happen, and returns what the control plane said.
func watched(t *testing.T, arm *topologies.Arm, fault labelled) sighting {
	t.Helper()
	bin := programs(t)
	binaries := map[string]string{}
	for _, name := range []string{"crossroads", "sidecar", "control", "workload", "gateway"} {
		binaries[name] = filepath.Join(bin, name)
	}
	deployer, err := process.New(process.Config{Binaries: binaries, Dir: t.TempDir(), ReadyTimeout: time.Minute})
	require.NoError(t, err)
	d, err := deployer.Deploy(t.Context(), arm)
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close(context.Background())) }()
	users := usersOf(d.Entries()[0].URL)
	time.Sleep(quietFor)
	s := sighting{fault: time.Now()}
	if fault.kind != "" {
		inject(t, d, fault)
	}
	time.Sleep(faultFor)
	s.alarms = alarmsOf(t, d)
	s.users, s.failed, s.passed = users.stop(s.fault)
	return s
}

// inject makes replica 2 go wrong.
func inject(t *testing.T, d deploy.Deployment, fault labelled) {
	t.Helper()
	switch fault.kind {
	case "pause":
		require.NoError(t, d.Signal(t.Context(), fault.service+"-2", syscall.SIGSTOP))
	case "kill":
		require.NoError(t, d.Signal(t.Context(), "sidecar-"+fault.service+"-2", syscall.SIGKILL))
	default:
		told := map[string]any{"errors": 1}
		if fault.kind == "delay" {
			told = map[string]any{"delay_ns": 80 * time.Millisecond}
		} else if fault.kind == "reset" {
			told = map[string]any{"reset": 1}
		}
		text, err := json.Marshal(told)
		require.NoError(t, err)
		request, err := http.NewRequest(http.MethodPut, processOf(t, d, fault.service+"-2").Admin+"/faults", bytes.NewReader(text))
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, http.StatusNoContent, response.StatusCode)
	}
}

func processOf(t *testing.T, d deploy.Deployment, id string) deploy.Process {
	t.Helper()
	for _, p := range d.Processes() {
		if p.ID == id {
			return p
		}
	}
	t.Fatalf("no process %s", id)
	return deploy.Process{}
}

func alarmsOf(t *testing.T, d deploy.Deployment) []alarmSeen {
	t.Helper()
	admin := processOf(t, d, "control-1").Admin
	if dir := os.Getenv("CASCADE_PAGES"); dir != "" { // to look at
		page, err := http.Get(admin + "/graph?format=html")
		require.NoError(t, err)
		defer page.Body.Close()
		text, err := io.ReadAll(page.Body)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(t.Name())+".html"), text, 0o600))
	}
	response, err := http.Get(admin + "/cascades")
	require.NoError(t, err)
	defer response.Body.Close()
	var said struct{ Alarms []alarmSeen }
	require.NoError(t, json.NewDecoder(response.Body).Decode(&said))
	slices.Reverse(said.Alarms)
	return said.Alarms
}

// users are clients that do not wait for one another.
type users struct {
	mu      sync.Mutex
	answers []userAnswer
	over    chan struct{}
	running sync.WaitGroup
}

type userAnswer struct {
	at     time.Time
	failed bool
}

func usersOf(url string) *users {
	u := &users{over: make(chan struct{})}
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	u.running.Go(func() {
		defer client.CloseIdleConnections()
		tick := time.NewTicker(time.Second / userRate)
		defer tick.Stop()
		var asked sync.WaitGroup
		defer asked.Wait()
		for {
			select {
			case <-u.over:
				return
			case <-tick.C:
				asked.Go(func() { u.ask(client, url) })
			}
		}
	})
	return u
}

func (u *users) ask(client *http.Client, url string) {
	response, err := client.Get(url)
	failed := err != nil
	if err == nil {
		failed = response.StatusCode >= 500
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			failed = true
		}
		response.Body.Close()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answers = append(u.answers, userAnswer{time.Now(), failed})
}

// stop ends the load and says how it went, and when after the fault more than the limit failed.
func (u *users) stop(fault time.Time) (all, failed int, passed time.Duration) {
	close(u.over)
	u.running.Wait()
	passed = -1
	for i, a := range u.answers {
		if !a.failed {
			continue
		}
		failed++
		n, bad := 0, 0
		for j := i; j >= 0 && a.at.Sub(u.answers[j].at) <= userSpan; j-- {
			n++
			if u.answers[j].failed {
				bad++
			}
		}
		if passed < 0 && a.at.After(fault) && float64(bad) > userLimit*float64(n) {
			passed = a.at.Sub(fault)
		}
	}
	return len(u.answers), failed, passed
}

// score counts over all runs.
type score struct {
	faults, quiet, named, alarms, wrong, falsely, early int
	after                                               []float64
}

func (s *score) add(t *testing.T, fault labelled, seen sighting) {
	t.Helper()
	users := fmt.Sprintf("%d of %d users' requests failed", seen.failed, seen.users)
	if fault.kind == "" {
		s.quiet++
		s.falsely += len(seen.alarms)
		t.Logf("no fault: %d alarms %v; %s", len(seen.alarms), seen.alarms, users)
		return
	}
	s.faults++
	s.alarms += len(seen.alarms)
	said := "not noticed"
	for i, a := range seen.alarms {
		took := a.Raised.Sub(seen.fault)
		switch {
		case a.Root.Destination != fault.service || took < 0:
			s.wrong++
			said = fmt.Sprintf("WRONG: %s -> %s (%s) after %s", a.Root.Source, a.Root.Destination, a.Kind, took.Round(time.Millisecond))
		case i == 0:
			s.named++
			s.after = append(s.after, took.Seconds())
			said = fmt.Sprintf("named after %s (%s, onset %+.2fs)", took.Round(time.Millisecond), a.Kind, a.Onset.Sub(seen.fault).Seconds())
			if seen.passed < 0 || took < seen.passed {
				s.early++
				said += ", before the users' error rate passed 1%"
			}
		}
	}
	if seen.passed >= 0 {
		users += fmt.Sprintf(", 1%% passed after %s", seen.passed.Round(time.Millisecond))
	}
	t.Logf("%s at %s: %s; %s", fault.kind, fault.service, said, users)
}

func (s *score) settle(t *testing.T) {
	slices.Sort(s.after)
	median, worst := 0.0, 0.0
	if n := len(s.after); n > 0 {
		median, worst = s.after[n/2], s.after[n-1]
	}
	t.Logf("recall %d of %d, precision %d of %d alarms, %d alarms in %d runs without a fault; time to detect: median %.2f s, longest %.2f s; before the users' error rate passed 1%%: %d of %d",
		s.named, s.faults, s.alarms-s.wrong, s.alarms, s.falsely, s.quiet, median, worst, s.early, s.faults)
	require.GreaterOrEqual(t, 10*s.named, 9*s.faults)
	require.Zero(t, s.falsely)
}
