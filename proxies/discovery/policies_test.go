package discovery

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

func TestPoliciesTravel(t *testing.T) {
	written := config.MeshAuthorization{Default: config.Deny, Policies: []config.Policy{
		{Name: "a", Mode: config.On, Action: config.Allow, Services: []string{"stock"}, Identities: []string{"spiffe://d/ns/n/sa/a"}},
		{Name: "b", Mode: config.Shadow, Action: config.Deny, Ports: []int{80}},
	}}
	sent, err := NewAuthorization(&written)
	require.NoError(t, err)
	line, err := Encode(Message{Format: Format, Snapshot: &Snapshot{Version: 1, Bundle: "b", Authorization: sent}})
	require.NoError(t, err)
	m, err := Decode(line)
	require.NoError(t, err)
	got, faults := m.Snapshot.Authorization.For("stock")
	require.Empty(t, faults)
	require.Equal(t, written, got)
	got, _ = m.Snapshot.Authorization.For("orders")
	require.Equal(t, []config.Policy{written.Policies[1]}, got.Policies, "those of other services stay out")
	none, err := NewAuthorization(nil)
	require.NoError(t, err)
	got, faults = none.For("stock")
	require.Empty(t, faults)
	require.Equal(t, config.MeshAuthorization{Default: config.Allow}, got)
}

// A policy that is not understood closes what it speaks of, and nothing else.
func TestPoliciesNotUnderstood(t *testing.T) {
	closed := config.Policy{Name: "not_understood", Mode: config.On, Action: config.Deny}
	for text, concerns := range map[string]bool{
		`{"name":"a","mode":"on","action":"allow","weather":"fine"}`:                      true,
		`{"name":"a","mode":"on","action":"allow","services":["stock"],"weather":"fine"}`: true,
		`{"name":"a","mode":"on","action":"allow","services":["other"],"weather":"fine"}`: false,
		`{"name":"a","mode":"on","action":"perhaps"}`:                                     true,
		`{"name":"a","mode":"sometimes","action":"deny"}`:                                 true,
		`{"name":"a","mode":"on","action":"deny","paths":["items"]}`:                      true,
		`{"name":"a","mode":"on","action":"deny","paths":["/a*"]}`:                        true,
		`{"name":"a","mode":"on","action":"deny","identities":["orders"]}`:                true,
		`{"name":"a","mode":"on","action":"deny","identities":["spiffe://*"]}`:            true,
		`{"name":"a","mode":"on","action":"deny","methods":["get"]}`:                      true,
		`{"name":"a","mode":"on","action":"deny","ports":[70000]}`:                        true,
		`{"mode":"on","action":"deny"}`:                                                   true,
		`"deny everything"`:                                                               true,
		`{"name":"a","mode":"on","action":"deny","services":"stock"}`:                     true,
	} {
		a := &Authorization{Default: config.Allow, Policies: []json.RawMessage{json.RawMessage(text)}}
		got, faults := a.For("stock")
		require.Equal(t, concerns, len(faults) == 1, text)
		if concerns {
			require.ErrorIs(t, faults[0], ErrNotUnderstood)
			require.Equal(t, []config.Policy{closed}, got.Policies, text)
		}
	}
	got, faults := (&Authorization{Default: "maybe"}).For("stock")
	require.Len(t, faults, 1)
	require.Equal(t, config.Deny, got.Default)
}
