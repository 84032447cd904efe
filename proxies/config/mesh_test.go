package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSidecarTrafficFaults(t *testing.T) {
	_, err := ParseSidecar("s.yaml", []byte(`version: 1
service: a
mtls: off
inbound:
  app: "127.0.0.1:1"
  tcp: [{port: 7000, to: "127.0.0.1:7000"}, {port: 7000, to: "nowhere"}]
outbound:
  upstreams: {stock: {endpoints: [{address: "127.0.0.1:2"}]}}
  tcp: [{listen: "127.0.0.1:0", service: stok, port: 0}]
  transparent: {listen: "127.0.0.1:0", detect_timeout: 0, unknown: drop, destinations: {"stock:80": stock, "10.0.0.1:80": price}}
  splits:
    - {name: one, services: [price], pick: best, backends: [{service: stock, weight: 0}]}
    - {name: one, services: [], backends: [], mirror: {service: nobody}}
`))
	for _, want := range []string{"s.yaml:6:3: opaque connections travel inside mTLS", "s.yaml:6:52: 7000 stands here twice", `"nowhere" is not an address`, `"stok" is not among`,
		"0 is not a port", "detect_timeout is 0", `"drop"`, `"stock:80" is not an address`, `"price" is not among`, `no service "price" is known`, `"best"`,
		"weights add up to 0", "name of its own", "needs services that are called", `no service "nobody"`} {
		require.ErrorContains(t, err, want)
	}
	_, err = ParseEndpoints("e.yaml", []byte(`version: 1
services:
  a: {endpoints: [], addresses: ["10.0.0.1:80"]}
  b: {endpoints: [], addresses: ["10.0.0.1:80", "b:80"]}
splits: [{name: s, services: [a], backends: [{service: c}]}]
`))
	for _, want := range []string{"10.0.0.1:80 is the address of another service", `"b:80" is not an address`, `no service "c"`} {
		require.ErrorContains(t, err, want)
	}
}

func TestSidecarInjectedFaults(t *testing.T) {
	_, err := ParseSidecar("s.yaml", []byte(`version: 1
service: a
mtls: off
inbound: {app: "127.0.0.1:1"}
faults:
  rules:
    - {direction: inbound, at: request, abort: 200}
    - {direction: inbound, at: request, reset: true}
    - {direction: outbound, at: dial, reset: true}
    - {direction: inbound, at: handshake, reset: true}
    - {direction: inbound, at: response, abort: 503}
    - {direction: inbound, at: dial}
    - {direction: sideways, at: lunch, delay: 1s}
`))
	for _, want := range []string{"s.yaml:7:7: abort is a status from 400 to 599", "s.yaml:8:7: a request is aborted, not reset", "s.yaml:9:7: the proxy has no outbound side",
		"s.yaml:10:7: there is no handshake", "s.yaml:11:7: abort is a status from 400 to 599, at request", "s.yaml:12:7: nothing goes wrong", `"sideways"`, `"lunch"`} {
		require.ErrorContains(t, err, want)
	}
	_, err = ParseSidecar("s.yaml", []byte("version: 1\nservice: a\nmtls: off\ninbound: {app: \"127.0.0.1:1\"}\nfaults: {rules: []}\n"))
	require.ErrorContains(t, err, "faults without rules")
}
