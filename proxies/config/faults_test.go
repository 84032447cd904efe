package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFaultRules(t *testing.T) {
	const mesh = "identity: {trust_domain: d, id: spiffe://d/ns/n/sa/s, control: {bootstrap: \"h:1\", address: \"h:2\", roots: r, token: t}}\n"
	sidecar := func(more, rule string) error {
		_, err := ParseSidecar("s.yaml", []byte("version: 1\nservice: s\nmtls: off\n"+more+"outbound: {listen: \"h:3\", upstreams: {a: {endpoints: [{address: \"h:4\"}]}}}\nfaults: {rules: ["+rule+"]}\n"))
		return err
	}
	gateway := func(_, rule string) error {
		_, err := ParseGateway("g.yaml", []byte("version: 1\nupstreams: {a: {endpoints: [{address: \"h:4\"}]}}\nroutes: [{name: a, backends: [{upstream: a}]}]\nfaults: {rules: ["+rule+"]}\n"))
		return err
	}
	for _, c := range []struct {
		parse            func(more, rule string) error
		more, rule, says string
	}{
		{sidecar, "", "{direction: outbound, at: dial, reset: true}", ""},
		{sidecar, "", "{at: dial, reset: true}", "direction"},
		{sidecar, "", "{direction: inbound, at: dial, reset: true}", "no inbound side"},
		{sidecar, "", "{direction: outbound, at: dail, reset: true}", `did you mean "dial"`},
		{sidecar, "", "{direction: outbound, at: dial}", "nothing goes wrong"},
		{sidecar, "", "{direction: outbound, at: dial, abort: 503}", "at request"},
		{sidecar, "", "{direction: outbound, at: request, reset: true}", "aborted, not reset"},
		{sidecar, "", "{at: renewal, reset: true}", "without identity"},
		{sidecar, mesh, "{at: renewal, reset: true}, {at: snapshot, delay: 2s}", ""},
		{sidecar, mesh, "{direction: outbound, at: renewal, reset: true}", "no direction"},
		{sidecar, mesh, "{at: snapshot, share: 10%, reset: true}", "leave share out"},
		{sidecar, mesh, "{at: renewal, abort: 503}", "at request"},
		{sidecar, mesh, "{at: snapshot}", "write delay or reset"},
		{gateway, "", "{at: dial, reset: true}, {direction: outbound, at: response, delay: 1ms}", ""},
		{gateway, "", "{direction: inbound, at: dial, reset: true}", "no inbound side"},
		{gateway, "", "{at: snapshot, reset: true}", "without a control plane"},
		{gateway, "", "", "told: true"},
	} {
		err := c.parse(c.more, c.rule)
		if c.says == "" {
			require.NoError(t, err, c.rule)
			continue
		}
		require.ErrorContains(t, err, c.says, c.rule)
	}
	g, err := ParseGateway("g.yaml", []byte("version: 1\nupstreams: {a: {endpoints: [{address: \"h:4\"}]}}\nroutes: [{name: a, backends: [{upstream: a}]}]\nfaults: {rules: [{at: dial, reset: true}]}\n"))
	require.NoError(t, err)
	require.Equal(t, "outbound", g.Faults.Rules[0].Direction)
	require.ErrorContains(t, (&Faults{Rules: []FaultRule{{At: AtDial, Direction: "outbound"}, {At: "dail"}}}).CheckTold(true, true, nil), "rules[1].at")
}
