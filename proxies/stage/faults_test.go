package stage_test

import (
	"testing"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/faults"
	"crossroads/proxies/stage"
	"crossroads/proxies/stage/stagetest"
)

func TestFaultsSuite(t *testing.T) {
	c := &config.Faults{Number: "X-Number", Rules: []config.FaultRule{
		{Direction: "inbound", At: config.AtRequest, Share: 0.5, Abort: 503}, {Direction: "inbound", At: config.AtRequest, Share: 1, Delay: 1}}}
	draws := faults.Of(c, "inbound", func(string, string) {}, nil)
	var pass, stop []request
	for _, n := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"} {
		r := request{Fields: []string{"X-Number: " + n}}
		if draws.Request(r.Exchange()).Abort != nil {
			stop = append(stop, r)
		} else {
			pass = append(pass, r)
		}
	}
	stagetest.Run(t, stagetest.Suite{
		New: func(testing.TB) exchange.Stage {
			return stage.NewFaults(faults.Of(c, "inbound", func(string, string) {}, nil))
		},
		Pass: pass, Stop: stop,
	})
}
