package results

import (
	"bufio"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMissing(t *testing.T) {
	p := smallPlan()
	names := func(trials []Trial, exclusions []Exclusion) string {
		return strings.Join(ids(Missing(p, trials, exclusions), func(t PlannedTrial) string { return t.ID }), " ")
	}
	require.Equal(t, "r1-direct-1000-c8 r1-gateway-1000-c8 r2-direct-1000-c8 r2-gateway-1000-c8", names(nil, nil))
	failed := trialOf(p.Trials[0])
	failed.Outcome = Failed
	require.Equal(t, "r1-gateway-1000-c8 r2-direct-1000-c8 r2-gateway-1000-c8", names([]Trial{failed}, nil), "a failed trial has its record")
	require.Equal(t, "r1-gateway-1000-c8 r2-direct-1000-c8", names([]Trial{failed}, []Exclusion{{Round: 2, Arm: "gateway"}}))
}

func TestSamePlan(t *testing.T) {
	r := create(t)
	same := r.Plan
	same.ID, same.Created = "small-2", began.Add(time.Hour)
	require.NoError(t, r.SamePlan(same))

	for name, c := range map[string]struct {
		change func(*Plan)
		want   string
	}{
		"experiment":     {func(p *Plan) { p.Experiment = Hash(nil) }, "the experiment changed"},
		"machine":        {func(p *Plan) { p.Machine = "m2" }, "another machine (fingerprint m1, this one is m2)"},
		"rebuilt":        {func(p *Plan) { p.Binaries = []Binary{{"gateway", "cc"}, {"workload", "bb"}} }, "the binary gateway was rebuilt (hash aa, now cc)"},
		"binary gone":    {func(p *Plan) { p.Binaries = p.Binaries[:1] }, "the binary workload took part and is not here"},
		"binary new":     {func(p *Plan) { p.Binaries = append(p.Binaries[:2:2], Binary{"sidecar", "dd"}) }, "the binary sidecar is new"},
		"seed":           {func(p *Plan) { p.Seed = 8 }, "the seed was 7, now 8"},
		"fewer trials":   {func(p *Plan) { p.Trials = p.Trials[:3] }, "it plans 4 trials, now 3"},
		"another order":  {func(p *Plan) { p.Trials = append([]PlannedTrial{p.Trials[1], p.Trials[0]}, p.Trials[2:]...) }, "differs from trial 1 on"},
		"kept processes": {func(p *Plan) { p.KeptAlive = true }, "kept alive"},
	} {
		t.Run(name, func(t *testing.T) {
			now := same
			c.change(&now)
			err := r.SamePlan(now)
			var m *Mismatch
			require.ErrorAs(t, err, &m)
			require.Len(t, m.Differences, 1)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestResumable(t *testing.T) {
	r := create(t)
	now := Environment{Machine: r.Plan.Machine, Binaries: r.Plan.Binaries}
	require.NoError(t, r.Resumable(now))
	now.Machine, now.Binaries = "m2", nil
	var m *Mismatch
	require.ErrorAs(t, r.Resumable(now), &m)
	require.Equal(t, []string{
		"it began on another machine (fingerprint m1, this one is m2)",
		"the binary gateway took part and is not here",
		"the binary workload took part and is not here",
	}, m.Differences)
}

func TestSittingsAndGaps(t *testing.T) {
	r := create(t)
	at := func(minutes int) time.Time { return began.Add(time.Duration(minutes) * time.Minute) }
	run := func(i, minute int) Trial {
		v := trialOf(r.Plan.Trials[i])
		v.Started = at(minute)
		return v
	}
	require.NoError(t, r.Begin(at(0)))
	require.NoError(t, r.Append(run(0, 1)))
	require.NoError(t, r.End(at(2), "interrupted"))
	require.NoError(t, r.Begin(at(10)))
	require.NoError(t, r.Append(run(1, 11))) // then killed
	require.NoError(t, r.Begin(at(20)))
	require.NoError(t, r.End(at(22), "finished"))

	sittings, warnings, err := r.Sittings()
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, []Sitting{
		{Started: at(0), Stopped: at(2), Reason: "interrupted"},
		{Started: at(10)},
		{Started: at(20), Stopped: at(22), Reason: "finished"},
	}, sittings)
	trials, _, err := r.Trials()
	require.NoError(t, err)
	require.Equal(t, []Gap{
		{From: at(2), To: at(10), After: "r1-direct-1000-c8"},
		{From: at(11).Add(time.Second), To: at(20), After: "r1-gateway-1000-c8"},
	}, Gaps(sittings, trials))
	require.Empty(t, Gaps(sittings[:1], trials))
}

// TestKilledWriter kills a process that appends as fast as it can, at random moments, until it has recorded the whole plan:
// every trial whose Append returned is there, and each once.
func TestKilledWriter(t *testing.T) {
	if dir := os.Getenv("RESULTS_TEST_WRITER"); dir != "" {
		appendAll(dir)
		return
	}
	root := t.TempDir()
	p := smallPlan()
	for i := 5; i <= 150; i++ {
		next := p.Trials[i%4]
		next.ID, next.Order = strings.Repeat("x", i%90)+string(rune('0'+i%10))+time.Duration(i).String(), i
		p.Trials = append(p.Trials, next)
	}
	r, err := Create(root, p, Environment{}, []byte(experiment))
	require.NoError(t, err)

	draw := rand.New(rand.NewPCG(1, 2))
	acknowledged := map[string]bool{}
	for sitting := 0; ; sitting++ {
		require.Less(t, sitting, 200, "the writer makes no progress")
		c := exec.Command(os.Args[0], "-test.run=^TestKilledWriter$")
		c.Env = append(os.Environ(), "RESULTS_TEST_WRITER="+r.Dir)
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		left := 1 + draw.IntN(60)
		finished := false
		for in := bufio.NewScanner(out); in.Scan(); {
			line := in.Text()
			if id, ok := strings.CutPrefix(line, "done "); ok {
				acknowledged[id] = true
			}
			finished = finished || line == "finished"
			if left--; left == 0 && !finished {
				require.NoError(t, c.Process.Kill())
			}
		}
		err = c.Wait()
		trials, _, readErr := r.Trials()
		require.NoError(t, readErr)
		have := map[string]bool{}
		for _, v := range trials {
			require.False(t, have[v.ID], "%s twice", v.ID)
			have[v.ID] = true
		}
		for id := range acknowledged {
			require.True(t, have[id], "%s was acknowledged and is lost", id)
		}
		if finished {
			require.NoError(t, err)
			break
		}
	}
	trials, warnings, err := r.Trials()
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Len(t, trials, len(p.Trials))
	missing, err := r.Missing()
	require.NoError(t, err)
	require.Empty(t, missing)
}

// appendAll is the process that is killed.
func appendAll(dir string) {
	check := func(err error) {
		if err != nil {
			os.Stdout.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
	}
	r, err := Open(dir)
	check(err)
	check(r.Begin(began))
	trials, _, err := r.Trials()
	check(err)
	for _, p := range Missing(r.Plan, trials, nil) {
		check(r.Append(trialOf(p)))
		os.Stdout.WriteString("done " + p.ID + "\n")
	}
	os.Stdout.WriteString("finished\n")
	os.Exit(0)
}
