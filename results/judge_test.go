package results

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shape fills a histogram with 1,000 values of which at (0-1) lie at low and the rest at high.
func shape(t testing.TB, at float64, low, high time.Duration) Histogram {
	t.Helper()
	h := NewTimes()
	below := int64(at * 1000)
	require.NoError(t, h.RecordValues(int64(low), below))
	require.NoError(t, h.RecordValues(int64(high), 1000-below))
	e, err := Encode(h)
	require.NoError(t, err)
	return e
}

// goodTrial meets every rule with room to spare.
func goodTrial(t testing.TB) Trial {
	v := trialOf(smallPlan().Trials[1])
	v.Outcome = ""
	v.Times = map[string]Histogram{
		Response: shape(t, 0.98, time.Millisecond, 4*time.Millisecond),
		Slip:     shape(t, 0.98, 20*time.Microsecond, 100*time.Microsecond),
	}
	v.Driver = DriverUse{CPU: 900e6, Spin: 700e6, Given: 1000e6, InFlightMid: 2, InFlightEnd: 2}
	v.Host = HostUse{CPUs: 2, Busy: 1500e6, Ours: 1490e6, Foreign: 0.005, CalibrationMS: [2]float64{10, 10.1}}
	v.Usage = []Usage{{Process: "gateway-1", Kind: "gateway", CPU: 300e6}, {Process: "stock-1", Kind: "workload", CPU: 200e6}}
	for i := range Windows {
		v.Windows = append(v.Windows, Window{Done: 100, P50: int64(time.Millisecond) + int64(i%3), P99: 4e6})
	}
	return v
}

func rules(reasons []Reason) []string { return ids(reasons, func(r Reason) string { return r.Rule }) }

func TestJudge(t *testing.T) {
	us, ms := time.Microsecond, time.Millisecond
	for name, c := range map[string]struct {
		change  func(*Trial)
		outcome Outcome
		reasons []string
		flags   []string
	}{
		"good": {func(v *Trial) {}, Valid, nil, nil},

		"process died":        {func(v *Trial) { v.Failure = &Failure{Process: "gateway-1", Reason: "killed by signal 9"} }, Failed, []string{RuleAlive}, nil},
		"died and much wrong": {func(v *Trial) { v.Failure = &Failure{}; v.Counts = Counts{}; v.Host.Steal = 1 }, Failed, []string{RuleAlive}, nil},

		"nothing recorded":    {func(v *Trial) { *v = Trial{} }, Invalid, []string{RuleSent}, []string{RuleSteady + notAssessed}},
		"sent 99%":            {func(v *Trial) { v.Counts.Ready = 990 }, Valid, nil, nil},
		"sent 98.9%":          {func(v *Trial) { v.Counts.Ready = 989 }, Invalid, []string{RuleSent}, nil},
		"slip p50 at limit":   {func(v *Trial) { v.Times[Slip] = shape(t, 0.98, 99*us, 100*us) }, Valid, nil, nil},
		"slip p50 over share": {func(v *Trial) { v.Times[Slip] = shape(t, 0.98, 102*us, 110*us) }, Invalid, []string{RuleOnTime}, nil},
		"slip p50 over floor": {func(v *Trial) {
			v.Times[Response] = shape(t, 0.98, 100*us, 4*ms)
			v.Times[Slip] = shape(t, 0.98, 61*us, 62*us)
		}, Invalid, []string{RuleOnTime}, nil},
		"slip p50 below floor": {func(v *Trial) {
			v.Times[Response] = shape(t, 0.98, 100*us, 4*ms)
			v.Times[Slip] = shape(t, 0.98, 59*us, 62*us)
		}, Valid, nil, nil},
		"slip p99 below share": {func(v *Trial) { v.Times[Slip] = shape(t, 0.98, 20*us, 990*us) }, Valid, nil, nil},
		"slip p99 over share":  {func(v *Trial) { v.Times[Slip] = shape(t, 0.98, 20*us, 1010*us) }, Invalid, []string{RuleOnTime}, nil},
		"slip p99 over floor": {func(v *Trial) {
			v.Times[Response] = shape(t, 0.98, ms, ms)
			v.Times[Slip] = shape(t, 0.98, 20*us, 505*us)
		}, Invalid, []string{RuleOnTime}, nil},
		"slip p50 and p99":   {func(v *Trial) { v.Times[Slip] = shape(t, 0.98, 2*ms, 3*ms) }, Invalid, []string{RuleOnTime, RuleOnTime}, nil},
		"slip of one sample": {func(v *Trial) { v.Times[Slip] = shape(t, 0.995, 20*us, 50*ms) }, Valid, nil, nil},
		"no slip":            {func(v *Trial) { delete(v.Times, Slip) }, Invalid, []string{RuleOnTime}, nil},
		"no response": {func(v *Trial) { delete(v.Times, Response); v.Counts.Done, v.Counts.Errors = 0, 1000 }, Saturated,
			[]string{RuleAchieved, RuleErrors}, nil},
		"economical slips": {func(v *Trial) {
			v.PlannedTrial.Driver = "native/economical"
			v.Times[Slip] = shape(t, 0.98, ms, 2*ms)
		}, Valid, nil, []string{RuleOnTime}},
		"economical without slips": {func(v *Trial) {
			v.PlannedTrial.Driver = "native/economical"
			v.Times[Slip] = Histogram{}
		}, Invalid, []string{RuleOnTime}, nil},

		"driver at limit":   {func(v *Trial) { v.Driver.CPU, v.Driver.Spin = 900e6, 100e6 }, Valid, nil, nil},
		"driver over limit": {func(v *Trial) { v.Driver.CPU, v.Driver.Spin = 910e6, 100e6 }, Invalid, []string{RuleDriver}, nil},
		"driver unseen":     {func(v *Trial) { v.Driver = DriverUse{} }, Invalid, []string{RuleDriver}, nil},

		"steal at limit":      {func(v *Trial) { v.Host.Steal = 0.02 }, Valid, nil, nil},
		"steal":               {func(v *Trial) { v.Host.Steal = 0.021 }, Invalid, []string{RuleSteal}, nil},
		"foreign at limit":    {func(v *Trial) { v.Host.Foreign = 0.05 }, Valid, nil, nil},
		"foreign":             {func(v *Trial) { v.Host.Foreign = 0.051 }, Invalid, []string{RuleForeign}, nil},
		"slower after":        {func(v *Trial) { v.Host.CalibrationMS = [2]float64{10, 11.6} }, Invalid, []string{RuleCalibrate}, nil},
		"faster after":        {func(v *Trial) { v.Host.CalibrationMS = [2]float64{11.6, 10} }, Invalid, []string{RuleCalibrate}, nil},
		"calibration in band": {func(v *Trial) { v.Host.CalibrationMS = [2]float64{10, 11.4} }, Valid, nil, nil},
		"no calibration":      {func(v *Trial) { v.Host.CalibrationMS[1] = 0 }, Valid, nil, []string{RuleCalibrate + notAssessed}},
		"host unseen": {func(v *Trial) { v.Host = HostUse{} }, Valid, nil,
			[]string{RuleSteal + notAssessed, RuleForeign + notAssessed, RuleCalibrate + notAssessed}},

		"invalid before saturated": {func(v *Trial) { v.Host.Steal = 0.5; v.Counts.Done = 0 }, Invalid, []string{RuleSteal}, nil},

		"achieved 99%":             {func(v *Trial) { v.Counts.Done = 990 }, Valid, nil, nil},
		"achieved 98.9%":           {func(v *Trial) { v.Counts.Done = 989 }, Saturated, []string{RuleAchieved}, nil},
		"errors 0.1%":              {func(v *Trial) { v.Counts.Done, v.Counts.Errors = 999, 1 }, Valid, nil, nil},
		"errors 0.2%":              {func(v *Trial) { v.Counts.Done, v.Counts.Errors = 998, 2 }, Saturated, []string{RuleErrors}, nil},
		"declared errors":          {func(v *Trial) { v.Counts.Done, v.Counts.Errors, v.Counts.Declared = 950, 50, 50 }, Valid, nil, nil},
		"declared and others":      {func(v *Trial) { v.Counts.Done, v.Counts.Errors, v.Counts.Declared = 948, 52, 50 }, Saturated, []string{RuleErrors}, nil},
		"busy 5%":                  {func(v *Trial) { v.Driver.AllBusy = 50e6 }, Valid, nil, nil},
		"busy 6%":                  {func(v *Trial) { v.Driver.AllBusy = 60e6 }, Saturated, []string{RuleBusy}, nil},
		"growing by chance":        {func(v *Trial) { v.Driver.InFlightMid, v.Driver.InFlightEnd = 1, 9 }, Valid, nil, nil},
		"growing":                  {func(v *Trial) { v.Driver.InFlightMid, v.Driver.InFlightEnd = 20, 29 }, Saturated, []string{RuleGrowing}, nil},
		"growing less than 1%":     {func(v *Trial) { big(v, 40); v.Driver.InFlightMid, v.Driver.InFlightEnd = 100, 200 }, Valid, nil, nil},
		"growing by more than 1%":  {func(v *Trial) { big(v, 40); v.Driver.InFlightMid, v.Driver.InFlightEnd = 100, 201 }, Saturated, []string{RuleGrowing}, nil},
		"shrinking":                {func(v *Trial) { v.Driver.InFlightMid, v.Driver.InFlightEnd = 900, 1 }, Valid, nil, nil},
		"a trend":                  {func(v *Trial) { tilt(v, 1) }, Valid, nil, []string{RuleSteady}},
		"a trend downwards":        {func(v *Trial) { tilt(v, -1) }, Valid, nil, []string{RuleSteady}},
		"a trend of p99 alone":     {func(v *Trial) { v.Windows[9].P99 = 1e9 }, Valid, nil, nil},
		"no windows":               {func(v *Trial) { v.Windows = nil }, Valid, nil, []string{RuleSteady + notAssessed}},
		"an empty window":          {func(v *Trial) { v.Windows[4] = Window{} }, Valid, nil, []string{RuleSteady + notAssessed}},
		"origin short of CPU":      {func(v *Trial) { v.Host.Busy = 1980e6; v.Usage[1].CPU = 1400e6 }, Valid, nil, []string{RuleOrigin}},
		"origin short, no proxy":   {func(v *Trial) { v.Host.Busy = 1980e6; v.Usage = v.Usage[1:]; v.Usage[0].CPU = 1400e6 }, Valid, nil, nil},
		"all short, proxies most":  {func(v *Trial) { v.Host.Busy = 2000e6; v.Usage[0].CPU, v.Usage[1].CPU = 800e6, 300e6 }, Valid, nil, nil},
		"flags of others are kept": {func(v *Trial) { v.Flags = []Reason{{Rule: "shared CPUs"}} }, Valid, nil, []string{"shared CPUs"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := goodTrial(t)
			c.change(&v)
			Judge(&v)
			require.Equal(t, c.outcome, v.Outcome, "%v", v.Reasons)
			require.ElementsMatch(t, c.reasons, rules(v.Reasons))
			require.ElementsMatch(t, c.flags, rules(v.Flags))
			for _, r := range append(v.Reasons, v.Flags...) {
				require.NotEmpty(t, r.Rule)
			}
			once, err := json.Marshal(v) // no NaN got into the record
			require.NoError(t, err)
			Judge(&v)
			twice, err := json.Marshal(v)
			require.NoError(t, err)
			require.Equal(t, string(once), string(twice))
		})
	}
}

func big(v *Trial, times int64) {
	v.Counts = Counts{Planned: 1000 * times, Ready: 1000 * times, Done: 1000 * times}
}

func tilt(v *Trial, way int64) {
	for i := range v.Windows {
		v.Windows[i].P50 = int64(time.Millisecond) + way*int64(i)*1000
	}
}

func TestJudgeIsBlindToTheArm(t *testing.T) {
	a, b := goodTrial(t), goodTrial(t)
	b.ID, b.Arm, b.Round = "other", "mesh", 9
	for _, v := range []*Trial{&a, &b} {
		v.Driver.AllBusy, v.Host.Foreign = 900e6, 0.04
		Judge(v)
	}
	require.Equal(t, a.Outcome, b.Outcome)
	require.Equal(t, a.Reasons, b.Reasons)
}

func TestReasonsCarryTheEvidence(t *testing.T) {
	v := goodTrial(t)
	v.Counts.Ready = 500
	v.Times[Slip] = shape(t, 0.98, 20*time.Microsecond, 2*time.Millisecond)
	v.Host.CalibrationMS = [2]float64{10, 12}
	Judge(&v)
	require.Equal(t, []string{
		"the driver sent 50.0% of what was planned, at least 99.0% is needed",
		"slip p99 is 2.00 ms, the limit is 1.00 ms",
		"the same loop took 10 ms before and 12 ms after, 20.0% apart, the limit is 15.0%",
	}, ids(v.Reasons, func(r Reason) string { return r.Text }))
	require.Equal(t, 0.5, v.Reasons[0].Value)
	require.Equal(t, 0.99, v.Reasons[0].Limit)

	v.Failure = &Failure{Process: "gateway-1", Reason: "killed by signal 9"}
	Judge(&v)
	require.Equal(t, "gateway-1: killed by signal 9", v.Reasons[0].Text)
}
