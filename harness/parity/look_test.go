package parity

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
	"crossroads/results"
)

// TestWhatWasSeen: what is declared and was asked is told with what was answered, what is not declared is not.
func TestWhatWasSeen(t *testing.T) {
	for arm, want := range map[string]string{
		"direct":        "",
		"plain-gateway": "gateway: fields, forwarding, keep_alive, request_id, via",
		"secure":        "gateway: fields, forwarding, keep_alive, request_id, tls, tls, tls, via",
		"gateway":       "gateway: fields, forwarding, keep_alive, key_auth, rate_limit, request_id, via",
		"watching": "gateway: authorization=shadow, cors=shadow, fields, forwarding, introspection=shadow, jwt=shadow, keep_alive, key_auth=shadow, " +
			"rate_limit=shadow, request_id, via",
		"all": "gateway: access_log, authorization, balance=random, body_limit, breaker, bulkhead, cors, fields, forwarding, health, introspection, jwt, " +
			"keep_alive, key_auth, rate_limit, request_id, retries, via",
		"mesh":         "sidecars: breaker, forwarding, keep_alive, mtls=strict, tls, via",
		"gateway+mesh": "gateway: fields, forwarding, keep_alive, key_auth, rate_limit, request_id, via sidecars: breaker, mtls=strict, tls",
		"retrying":     "sidecars: forwarding, keep_alive, mtls=strict, retries, tls, via",
		"mesh-plain":   "sidecars: breaker, forwarding, keep_alive, via",
	} {
		t.Run(arm, func(t *testing.T) {
			s, a := start(t, arm, nil)
			seen := Look(t.Context(), a, s)
			require.Empty(t, seen.Failures)
			require.Equal(t, want, told(seen.Probes))
			for _, p := range seen.Probes {
				require.NotEmpty(t, p.Asked, p.Feature)
				require.NotEmpty(t, p.Answered, p.Feature)
				require.False(t, p.Failed)
			}
		})
	}
	s, a := start(t, "gateway+mesh", nil)
	seen := Look(t.Context(), a, s)
	require.Contains(t, seen.Probes, results.Probe{Place: "gateway", Feature: "key_auth", Asked: "a request without a key, with a wrong key", Answered: "401, 401"})
	require.Contains(t, seen.Probes, results.Probe{Place: "gateway", Feature: "rate_limit", Asked: "5 requests at once where 3 may pass", Answered: "3 passed, 2 answered 429"})
	require.Contains(t, seen.Probes, results.Probe{Place: "sidecars", Feature: "mtls=strict", Asked: "plaintext, and TLS without a certificate, at an inbound port",
		Answered: "refused, refused"})
	require.Equal(t, []results.Handshake{{At: "inbound", Process: "sidecar-shop-1", Seen: "probe", Version: "TLS 1.3", Cipher: seen.Handshakes[0].Cipher, Chain: 1}}, seen.Handshakes)
	require.Contains(t, seen.Handshakes[0].Cipher, "TLS_")
}

// TestForeignCertificate: no probe gets anywhere by a certificate of somebody else's, so that none passes on what it was told there.
func TestForeignCertificate(t *testing.T) {
	s, arm := start(t, "secure", func(s *system) { s.foreign = true })
	failed := map[string]string{}
	for _, f := range Check(t.Context(), arm, s) {
		failed[f.Probe] = f.Text
	}
	for _, probe := range []string{"answers", "hops", "work", "fields", "tls", "keep_alive"} {
		require.Contains(t, failed[probe], "certificate signed by unknown authority", probe)
	}
}

// told groups the features by place.
func told(probes []results.Probe) string {
	var parts []string
	for _, place := range []string{"gateway", "sidecars"} {
		var of []string
		for _, p := range probes {
			if p.Place == place {
				of = append(of, p.Feature)
			}
		}
		if len(of) > 0 {
			parts = append(parts, place+": "+strings.Join(of, ", "))
		}
	}
	return strings.Join(parts, " ")
}

// TestWhatFailedIsToldAsFailed: never as something that the proxy does.
func TestWhatFailedIsToldAsFailed(t *testing.T) {
	s, arm := start(t, "gateway", func(s *system) { s.keys = false })
	for _, p := range Look(t.Context(), arm, s).Probes {
		require.Equal(t, p.Feature == "key_auth", p.Failed, p.Feature)
		if p.Failed {
			require.Contains(t, p.Answered, "a request with a wrong key at gateway-1 was answered 200 where key_auth is on: 401 was due")
		}
	}
	s, arm = start(t, "plain-gateway", func(s *system) { s.believes = requestID })
	require.Contains(t, Look(t.Context(), arm, s).Probes, results.Probe{Place: "gateway", Feature: "request_id", Asked: "a request with an id of the client's",
		Answered: `the application sees "forged"`, Lacks: true}, "which keeps nobody out")
	require.Empty(t, Check(t.Context(), arm, s))
	s, arm = start(t, "plain-gateway", func(s *system) { s.guard.silent = true })
	seen := Look(t.Context(), arm, s)
	require.Contains(t, fmt.Sprint(seen.Probes), "{gateway stages the probe stages gateway-1 does not say which stages it has in force false false true}",
		"a probe that notes nothing is told by its failure")
	s, arm = start(t, "mesh", func(s *system) { s.inbound = func() string { return closedPort(t) } })
	seen = Look(t.Context(), arm, s)
	require.Empty(t, seen.Handshakes)
	require.NotEmpty(t, seen.Failures)
	require.Equal(t, deploy.KindSidecar+"s", seen.Probes[0].Place)
}
