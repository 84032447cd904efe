package faults_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/config/units"
	"crossroads/proxies/exchange"
	"crossroads/proxies/faults"
	"crossroads/proxies/stage/stagetest"
)

func numbered(n int) *exchange.Exchange {
	return stagetest.Request{Fields: []string{"X-Number: " + strconv.Itoa(n)}}.Exchange()
}

func TestTheSameNumbersMeetTheSameFaults(t *testing.T) {
	c := &config.Faults{Seed: 7, Number: "X-Number", Rules: []config.FaultRule{
		{Direction: "outbound", At: config.AtRequest, Share: 0.3, Abort: 503},
		{Direction: "outbound", At: config.AtRequest, Share: 0.5, Delay: units.Duration(time.Millisecond)},
		{Direction: "inbound", At: config.AtResponse, Share: 1, Reset: true},
	}}
	counted := map[string]int{}
	count := func(direction, at string) { counted[direction+" "+at]++ }
	draw := func() (aborted, delayed []int) {
		p := faults.Of(c, "outbound", count, nil)
		for n := range 200 {
			d := p.Request(numbered(n))
			if d.Abort != nil {
				require.Equal(t, 503, d.Abort.Status)
				aborted = append(aborted, n)
			}
			if d.Wait > 0 {
				delayed = append(delayed, n)
			}
		}
		require.Zero(t, p.Dial(), "no rule speaks of dialling")
		return aborted, delayed
	}
	aborted, delayed := draw()
	again, _ := draw()
	require.Equal(t, aborted, again)
	require.InDelta(t, 60, len(aborted), 30)
	require.InDelta(t, 100, len(delayed), 35)
	require.NotEqual(t, aborted, delayed, "each rule draws for itself")
	require.Equal(t, 2*(len(aborted)+len(delayed)), counted["outbound request"])

	c.Number = ""
	p := faults.Of(c, "outbound", count, nil)
	var counts []int
	for n := range 200 {
		if p.Request(numbered(5)).Abort != nil {
			counts = append(counts, n)
		}
	}
	require.Equal(t, aborted, counts, "without a number they are counted from zero")
	require.True(t, faults.Of(c, "inbound", count, nil).Response(numbered(1)).Reset)
	require.Nil(t, faults.Of(nil, "inbound", count, nil))
	require.Nil(t, faults.Of(&config.Faults{Rules: c.Rules[:2]}, "inbound", count, nil))
}

func TestFaultsHaveTheirTime(t *testing.T) {
	now := time.Unix(1000, 0)
	c := &config.Faults{Rules: []config.FaultRule{
		{Direction: "outbound", At: config.AtDial, Share: 1, After: units.Duration(time.Second), For: units.Duration(2 * time.Second), Reset: true}}}
	p := faults.Of(c, "outbound", func(string, string) {}, func() time.Time { return now })
	for _, want := range []bool{false, true, true, false} {
		require.Equal(t, want, p.Dial().Reset, "%s after the beginning", now.Sub(time.Unix(1000, 0)))
		now = now.Add(time.Second)
	}
}
