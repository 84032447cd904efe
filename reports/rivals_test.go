package reports_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/reports"
	"crossroads/results"
	"crossroads/results/stats"
)

// beside has proxies of others in the gateway's place: one that is cheaper, one that is dearer and slower, one as good, and another work that
// only two of them do.
func beside() reports.Records {
	gateway := func(name, use string, p50, proxyCPU float64, features ...string) shape {
		s := shape{info: results.ArmInfo{Name: name, Gateway: use, Features: features, EntryHops: 1, Edges: 2, Processes: 2, Proxies: 1}, p50: p50, spread: 0.29,
			proxyCPU: proxyCPU, proxies: map[string]int{"gateway": 1}}
		return s
	}
	plain := direct()
	plain.info.Edges, plain.info.OriginTime = 2, 0
	arms := []shape{plain, gateway("relay", "relay", 1.88, 30), gateway("gateway", "reference", 1.93, 60), gateway("quick", "nginx", 1.93, 45),
		gateway("slow", "caddy", 2.6, 150), gateway("like", "haproxy", 1.93, 60),
		gateway("guarded", "reference", 1.95, 66, "key_auth"), gateway("quick-guarded", "nginx", 1.95, 50, "key_auth")}
	rec := synthetic(arms, []float64{1000}, 6)
	for _, a := range arms[1:] {
		s := results.Sighting{Round: 1, Arm: a.info.Name, Probes: []results.Probe{
			{Place: "gateway", Feature: "forwarding", Asked: "every declared request", Answered: "as the application itself"},
			{Place: "gateway", Feature: "via", Asked: "which proxies were crossed", Answered: "1 on the way in"},
		}}
		if len(a.info.Features) > 0 {
			s.Probes = append(s.Probes, results.Probe{Place: "gateway", Feature: "key_auth", Asked: "a request without a key, with a wrong key", Answered: "401, 401"})
		}
		cipher := "TLS_AES_128_GCM_SHA256"
		if a.info.Name == "slow" {
			cipher = "TLS_AES_256_GCM_SHA384"
			s.Probes = append(s.Probes, results.Probe{Place: "gateway", Feature: "keep_alive", Asked: "requests on one connection", Answered: "slow closed it", Failed: true},
				results.Probe{Place: "gateway", Feature: "request_id", Asked: "an id of the client's", Answered: `the application sees ""`, Lacks: true})
		}
		if a.info.Gateway != "relay" {
			s.Handshakes = []results.Handshake{{At: "entry", Process: "gateway-1", Seen: "probe", Version: "TLS 1.3", Cipher: cipher, Chain: 2}}
			s.Probes = append(s.Probes, results.Probe{Place: "gateway", Feature: "retries", Asked: "the configuration in force", Answered: "3 attempts", Told: true})
		}
		rec.Sightings = append(rec.Sightings, s)
		s.Round = 2
		rec.Sightings = append(rec.Sightings, s)
	}
	for _, use := range []string{"nginx", "caddy", "haproxy"} {
		for _, feature := range []string{"jwt", "jwt=shadow"} {
			rec.Plan.Refused = append(rec.Plan.Refused, results.Refusal{Place: "gateway", Use: use, Feature: feature, Reason: "verifying signed tokens is not rendered"})
		}
	}
	rec.Plan.Refused = append(rec.Plan.Refused, results.Refusal{Place: "gateway", Use: "caddy", Feature: "rate_limit", Reason: "it has none"},
		results.Refusal{Place: "gateway", Use: "nginx", Feature: "key_auth", Reason: "a refusal that a probe has overtaken"})
	return rec
}

// TestBesideOthers computes the ratios once more, from the records alone, and holds every claim against its interval and its margin.
func TestBesideOthers(t *testing.T) {
	rec, r := scenes["beside"]()
	own := map[string]string{"quick": "gateway", "slow": "gateway", "like": "gateway", "quick-guarded": "guarded"}
	cpus := map[string]map[int]float64{}
	for _, tr := range rec.Trials {
		for _, u := range tr.Usage {
			if u.Kind == "gateway" {
				if cpus[tr.Arm] == nil {
					cpus[tr.Arm] = map[int]float64{}
				}
				cpus[tr.Arm][tr.Round] = float64(u.CPU) / float64(tr.Counts.Done)
			}
		}
	}
	table := sectionOf(t, r, "rivals").Parts[0].Table
	require.Len(t, table.Rows, len(own), "a relay does no work, and nobody is held against direct")
	for _, row := range table.Rows {
		name := row.Cells[0].Text
		require.Equal(t, own[name], row.Cells[1].Text)
		var logs []float64
		for round := 1; round <= 6; round++ {
			logs = append(logs, math.Log(cpus[name][round]/cpus[own[name]][round]))
		}
		i := stats.SignedRank(logs, results.Confidence)
		got := row.Cells[2].Quantity
		require.InDelta(t, math.Exp(stats.HodgesLehmann(logs)), got.Value, 1e-9, name)
		require.InDelta(t, math.Exp(i.Low), got.Interval.Low, 1e-9, name)
		require.InDelta(t, math.Exp(i.High), got.Interval.High, 1e-9, name)
		require.Equal(t, math.Exp(i.High) < 0.98, slices.Contains([]string{"CPU per request"}, row.Cells[7].Text), name)
	}
	var said []string
	for _, f := range r.Findings {
		if f.Rule == "rivals" {
			require.True(t, f.Shown)
			require.NotEmpty(t, f.Evidence)
			said = append(said, f.Text)
		}
	}
	require.Len(t, said, 2, "one for each work")
	require.Regexp(t, `^Beside gateway at 1,000/s, as multiples of its own\. Better: quick in CPU per request 0\.7\d* \[0\.7\d*, 0\.7\d*\]\. `+
		`Worse: slow in CPU per request 2\.\d+ \[[^]]*\], p50 1\.\d+ \[[^]]*\] and p99 1\.\d+ \[[^]]*\]\.$`, said[0])
	require.Regexp(t, `^Beside guarded .* Better: quick-guarded in CPU per request 0\.7\d* \[.*\]\. Worse: none is shown\.$`, said[1])
	for _, s := range said {
		require.NotContains(t, s, "like", "no difference, no word")
	}
}

// TestTooFewRoundsClaimNothing: without an interval nobody is better.
func TestTooFewRoundsClaimNothing(t *testing.T) {
	rec := beside()
	rec.Plan.Rounds = 3
	rec.Plan.Trials = slices.DeleteFunc(rec.Plan.Trials, func(p results.PlannedTrial) bool { return p.Round > 3 })
	rec.Trials = slices.DeleteFunc(slices.Clone(rec.Trials), func(tr results.Trial) bool { return tr.Round > 3 })
	r, err := reports.FromRecords(rec)
	require.NoError(t, err)
	require.False(t, slices.ContainsFunc(r.Findings, func(f reports.Finding) bool { return f.Rule == "rivals" }))
	for _, row := range sectionOf(t, r, "rivals").Parts[0].Table.Rows {
		require.Equal(t, "no interval (n = 3 rounds)", row.Cells[2].Sub())
		require.Equal(t, []string{"–", "–"}, []string{row.Cells[7].Text, row.Cells[8].Text})
	}
}

func TestFeatureMatrix(t *testing.T) {
	_, r := scenes["beside"]()
	parts := sectionOf(t, r, "features").Parts
	table := parts[0].Table
	var heads []string
	for _, c := range table.Columns {
		heads = append(heads, c.Title)
	}
	require.Equal(t, []string{"Feature", "relay", "reference", "nginx", "caddy", "haproxy"}, heads)
	var rows []string
	for _, row := range table.Rows {
		line := row.Cells[0].Text + ":"
		for _, c := range row.Cells[1:] {
			line += " " + c.Main() + ","
		}
		rows = append(rows, line)
	}
	require.Equal(t, []string{
		"forwarding: yes, yes, yes, yes, yes,",
		"via: yes, yes, yes, yes, yes,",
		"request_id: not asked, not asked, not asked, does not, not asked,",
		"keep_alive: not asked, not asked, not asked, no, not asked,",
		"key_auth: not asked, yes, yes, not asked, not asked,", // an answer counts, not a refusal
		"jwt: not asked, not asked, cannot, cannot, cannot,",   // and nobody declares its shadow
		"rate_limit: not asked, not asked, not asked, cannot, not asked,",
		"retries: not asked, says so, says so, says so, says so,",
	}, rows)
	require.Contains(t, lines(parts[1].Table), "key_auth: a request without a key, with a wrong key: 401, 401: reference, nginx")
	require.Contains(t, lines(parts[1].Table), "keep_alive: requests on one connection: slow closed it: caddy")
	require.Equal(t, []string{"jwt: verifying signed tokens is not rendered: nginx, caddy, haproxy", "rate_limit: it has none: caddy"}, lines(parts[2].Table))
	require.Len(t, parts[3].Table.Rows, 6, "one line an arm, whatever the rounds")
	unlike := slices.DeleteFunc(slices.Clone(r.Header.Warnings), func(w string) bool { return !strings.HasPrefix(w, "unlike in TLS:") })
	require.Equal(t, []string{"unlike in TLS: at entry slow has TLS 1.3, TLS_AES_256_GCM_SHA384, 2 certificates shown where gateway has TLS 1.3, TLS_AES_128_GCM_SHA256, " +
		"2 certificates shown: their costs are not those of the same work"}, unlike)
}

func lines(table *reports.Table) []string {
	var all []string
	for _, row := range table.Rows {
		var cells []string
		for _, c := range row.Cells {
			cells = append(cells, c.Main())
		}
		all = append(all, strings.Join(cells, ": "))
	}
	return all
}

func sectionOf(t *testing.T, r *reports.Report, id string) reports.Section {
	t.Helper()
	i := slices.IndexFunc(r.Sections, func(s reports.Section) bool { return s.ID == id })
	require.GreaterOrEqual(t, i, 0, id)
	return r.Sections[i]
}
