package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCallerLimits(t *testing.T) {
	parse := func(limits string) (*Sidecar, error) {
		return ParseSidecar("s.yaml", []byte("version: 1\nservice: a\nmtls: off\ninbound:\n  app: \"127.0.0.1:1\"\n  limits: "+limits+"\n"))
	}
	s, err := parse("{rate: 2.5}")
	require.NoError(t, err)
	require.Equal(t, CallerLimits{Mode: On, Rate: 2.5, Burst: 2}, *s.Inbound.Limits)
	s, err = parse("{rate: 0.1, mode: shadow, concurrent: 3, connections: 9}")
	require.NoError(t, err)
	require.Equal(t, CallerLimits{Mode: Shadow, Rate: 0.1, Burst: 1, Concurrent: 3, Connections: 9}, *s.Inbound.Limits)
	for limits, fault := range map[string]string{
		"{}":                               "nothing would be limited",
		"{rate: 0.0001}":                   "0.001 to 1000M",
		"{rate: 1, burst: 1.5}":            "not a burst",
		"{concurrent: -1}":                 "-1 is not a number of requests",
		"{connections: -1}":                "-1 is not a number of connections",
		"{rate: 1, mode: maybe}":           "mode",
		"{rate: 1, simultaneous: 1}":       "simultaneous",
		"{rate: 1, burst: 0.5, mode: off}": "not a burst",
	} {
		_, err := parse(limits)
		require.ErrorContains(t, err, fault, limits)
	}
}
