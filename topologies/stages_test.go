package topologies_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/topologies"
)

// TestRequestsCarryWhatAnyGatewayAsksFor: in every arm, the direct one included, so that all get the same requests.
func TestRequestsCarryWhatAnyGatewayAsksFor(t *testing.T) {
	e := parse(t, application+"  direct: {}\n  x: {gateway: {stages: {jwt: shadow, introspection: on, cors: on}}}\n")
	h := e.Load.Requests[0].Headers
	require.Equal(t, []string{"Origin", "Authorization", "X-Access-Token"}, h.Keys())
	require.Equal(t, "Bearer "+topologies.DemoToken(), h.At("Authorization"))
	require.Equal(t, topologies.DemoOpaque, h.At("X-Access-Token"))
	require.Empty(t, parse(t, application+"  x: {gateway: {stages: {authorization: on, body_limit: on, access_log: on}}}\n").Load.Requests[0].Headers.Keys())
	own := strings.Replace(application, "[100]", "[100], requests: [{headers: {origin: 'https://elsewhere.example'}}]", 1)
	require.Equal(t, []string{"origin"}, parse(t, own+"  x: {gateway: {stages: {cors: on}}}\n").Load.Requests[0].Headers.Keys(), "a foreign origin is a question of its own")
}

func TestTokensAreAlwaysTheSame(t *testing.T) {
	require.Equal(t, topologies.DemoToken(), topologies.SignedToken("demo"))
	require.NotEqual(t, topologies.DemoToken(), topologies.SignedToken("probe"))
	forged, real := strings.Split(topologies.ForgedToken("demo"), "."), strings.Split(topologies.DemoToken(), ".")
	require.Equal(t, real[:2], forged[:2], "it says the same")
	require.NotEqual(t, real[2], forged[2])
}

// TestWrongTokens: each says the right thing but for one, in the form of a token.
func TestWrongTokens(t *testing.T) {
	real := strings.Split(topologies.DemoToken(), ".")
	seen := map[string]bool{topologies.DemoToken(): true}
	for _, wrong := range topologies.WrongTokens() {
		require.False(t, seen[wrong.Token], wrong.What)
		seen[wrong.Token] = true
		parts := strings.Split(wrong.Token, ".")
		require.Len(t, parts, 3, wrong.What)
		require.True(t, (parts[0] == real[0]) != (parts[1] == real[1]), "%s: the head or the claims", wrong.What)
	}
}

func TestFeatures(t *testing.T) {
	for text, want := range map[string][]string{
		"{}": nil,
		"{stages: {key_auth: off, cors: shadow}}": {"cors=shadow"},
		"{tls: off}":                            nil,
		"{tls: on, stages: {key_auth: shadow}}": {"tls", "key_auth=shadow"},
		"{stages: {body_limit: on, rate_limit: {rate: 1k}, access_log: on, jwt: shadow}, upstream: {health: on, balance: random}}": {
			"access_log", "jwt=shadow", "rate_limit", "body_limit", "balance=random", "health"},
	} {
		e := parse(t, application+"  x: {gateway: "+text+"}\n")
		require.Equal(t, want, e.Topologies.At("x").Gateway.Features(), text)
	}
}

// TestEntryTLS: an arm is entered by TLS where that is declared, which makes no edge authenticated at both ends; a relay cannot.
func TestEntryTLS(t *testing.T) {
	arms := parse(t, application+"  off: {gateway: {}}\n  secure: {gateway: {tls: on}}\n  again: {extends: [secure], gateway: {tls: off}}\n").Arms()
	require.Equal(t, []bool{false, true, false}, []bool{arms[0].EntryTLS(), arms[1].EntryTLS(), arms[2].EntryTLS()})
	require.Equal(t, arms[0].EncryptedEdges(), arms[1].EncryptedEdges())
	require.Contains(t, arms[1].Experiment.Dot(arms[1]), "driver -> gateway [label=TLS]")
	for text, says := range map[string]string{
		"{use: relay, tls: on}": "tls does nothing with use: relay", "{tls: strict}": `"strict"`,
	} {
		_, err := topologies.Parse("x.yaml", []byte(application+"  x: {gateway: "+text+"}\n"))
		require.ErrorContains(t, err, says)
	}
}

// TestFeaturesFile: one arm for each thing alone and one with all of them, so that a report can set it against their sum.
func TestFeaturesFile(t *testing.T) {
	e := load(t, "features")
	alone := map[string]bool{}
	for _, arm := range e.Arms() {
		if g := arm.Topology.Gateway; g != nil && len(g.Features()) == 1 {
			alone[g.Features()[0]] = true
		}
	}
	all := e.Topologies.At("all").Gateway
	for _, f := range all.Features() {
		require.True(t, alone[f], f)
	}
	for _, s := range all.Stages.All() {
		require.Equal(t, topologies.ModeOn, s.Mode, s.Name)
	}
	with, _ := e.Arm("introspection")
	require.True(t, with.NeedsIssuer())
	require.Equal(t, "issuer-1", with.Processes()[0].ID)
	require.Contains(t, e.Dot(with), "gateway -> issuer")
	require.Equal(t, with.Edges(), 1, "asking about a token is no call of the application")
}
