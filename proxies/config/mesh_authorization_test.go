package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAuthorizationFaults(t *testing.T) {
	_, err := ParseSidecar("s.yaml", []byte(`version: 1
service: a
mtls: off
inbound:
  app: "127.0.0.1:1"
  authorization:
    default: perhaps
    policies:
      - {name: one, action: alow}
      - {name: one, action: deny, identities: [orders], methods: [get], paths: [a], ports: [0], services: [b]}
      - {action: deny, mode: sometimes, paths: ["/a*b"]}
`))
	require.Error(t, err)
	for _, want := range []string{"s.yaml:7:14: ", "s.yaml:9:29: ", `"alow" is not an action`, `"one" stands here twice`, `"orders" is not an identity`, `"get" is not a method`,
		`"a" is not a path`, "0 is not a port", "its own service only", "name is missing", `"sometimes" is not a mode`, `"/a*b" is not a path`} {
		require.ErrorContains(t, err, want)
	}
	e, err := ParseEndpoints("e.yaml", []byte(`version: 1
services: {}
authorization:
  default: deny
  policies: [{name: one, action: allow, services: [stock], identities: ["spiffe://d/ns/n/*", unauthenticated]}]
`))
	require.NoError(t, err)
	require.Equal(t, On, e.Authorization.Policies[0].Mode)
	require.True(t, e.Authorization.Policies[0].For("stock"))
	require.False(t, e.Authorization.Policies[0].For("orders"))
}
