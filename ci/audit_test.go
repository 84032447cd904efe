package ci

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/results"
)

func whole(t *testing.T) results.Trial {
	d := newDuet(1, same, 1)
	trial := d.trials[0]
	h := histogram(t, 4000, func(int) time.Duration { return time.Millisecond })
	early := histogram(t, 4000, func(int) time.Duration { return time.Microsecond })
	trial.Times = map[string]results.Histogram{results.Response: h, results.Service: h, results.WaitTime: early, results.Slip: early}
	trial.Driver = results.DriverUse{CPU: 1e9, Given: 8e9}
	results.Judge(&trial)
	require.Equal(t, results.Valid, trial.Outcome, "%v", trial.Reasons)
	return trial
}

func TestAudit(t *testing.T) {
	looked, faults := Audit([]results.Trial{whole(t)})
	require.Empty(t, faults)
	require.Positive(t, looked)
	for name, c := range map[string]struct {
		spoil func(*results.Trial)
		want  string
	}{
		"a count":            {func(t *results.Trial) { t.Counts.Done-- }, "4000 response times for 3999 requests"},
		"a lost histogram":   {func(t *results.Trial) { delete(t.Times, results.Service) }, "0 service times for 4000 requests"},
		"a broken histogram": {func(t *results.Trial) { t.Times[results.Slip] = results.Histogram{Count: 4000, V2: "nonsense"} }, "slip times"},
		"a better outcome":   {func(t *results.Trial) { t.Host.Steal = 0.5 }, "recorded as valid, its evidence says invalid"},
		"a worse outcome":    {func(t *results.Trial) { t.Outcome = results.Saturated }, "recorded as saturated, its evidence says valid"},
	} {
		trial := whole(t)
		c.spoil(&trial)
		_, faults := Audit([]results.Trial{trial})
		require.NotEmpty(t, faults, name)
		require.Contains(t, faults[len(faults)-1]+faults[0], c.want, name)
	}
}

func TestDiff(t *testing.T) {
	type document struct {
		A float64   `json:"a"`
		B []float64 `json:"b,omitempty"`
		C string    `json:"c"`
	}
	numbers, found, err := Diff([]byte(`{"a": 1.50, "b": [2, 3], "c": "x"}`), document{1.5, []float64{2, 3}, "x"})
	require.NoError(t, err)
	require.Empty(t, found)
	require.Equal(t, 3, numbers)
	for stored, want := range map[string]string{
		`{"a":1.5000001,"b":[2,3],"c":"x"}`: "$.a: stored 1.5000001, computed 1.5",
		`{"a":1.5,"b":[2,4],"c":"x"}`:       "$.b[1]: stored 4, computed 3",
		`{"a":1.5,"b":[2],"c":"x"}`:         "$.b: stored [2], computed [2,3]",
		`{"a":1.5,"b":[2,3]}`:               `$.c: stored null, computed "x"`,
		`{"a":"1.5","b":[2,3],"c":"x"}`:     `$.a: stored "1.5", computed 1.5`,
		`[]`:                                "$: stored []",
	} {
		_, found, err := Diff([]byte(stored), document{1.5, []float64{2, 3}, "x"})
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Contains(t, found[0], want)
	}
	_, _, err = Diff([]byte("{"), document{})
	require.Error(t, err)
}
