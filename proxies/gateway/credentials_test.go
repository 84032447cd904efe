package gateway

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

// nobody is an address where nothing listens.
func nobody(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

func TestReloadKeepsWhatStagesRemember(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("one\n"), 0o600))
	address, service := nobody(t), origin(t, "a")
	stages := func(skew, whenDown string) string {
		return upstreams(service) + everything + `stages:
  cors: {origins: ["https://app.example.com"]}
  jwt: {keys: {url: "http://` + address + `/"}, issuers: [i], audiences: [a], skew: ` + skew + `, token: {header: X-Token}}
  introspection: {url: "http://` + address + `/", client_id: g, client_secret: {file: "` + secret + `"}}
  authorization: {rules: [{name: all}]}
  rate_limit: {policies: [{name: p, rate: 1, key: [address]}, {name: q, rate: 1, key: [consumer]}], redis: {address: "` + address + `", when_down: ` + whenDown + `, password: {file: "` + secret + `"}}}
`
	}
	g := start(t, stages("5s", "deny"))
	first := &g.Gateway.current.Load().guards
	require.Contains(t, g.Gateway.current.Load().stages, "route,cors,rate_limit_address,jwt,introspection,authorization,rate_limit")

	require.NoError(t, g.Gateway.Reload(parse(t, stages("5s", "deny"))))
	same := &g.Gateway.current.Load().guards
	require.Same(t, first.jwt, same.jwt)
	require.Same(t, first.introspection, same.introspection)
	require.Same(t, first.store, same.store)

	require.NoError(t, os.WriteFile(secret, []byte("two"), 0o600))
	require.NoError(t, g.Gateway.Reload(parse(t, stages("6s", "deny"))))
	other := &g.Gateway.current.Load().guards
	require.NotSame(t, first.jwt, other.jwt, "its settings changed")
	require.NotSame(t, first.introspection, other.introspection, "its secret changed")
	require.NotSame(t, first.store, other.store, "likewise")

	require.NoError(t, os.WriteFile(secret, []byte("\n"), 0o600))
	require.ErrorContains(t, g.Gateway.Reload(parse(t, stages("6s", "allow"))), "is empty")
	require.NoError(t, os.Remove(secret))
	require.ErrorIs(t, g.Gateway.Reload(parse(t, stages("6s", "allow"))), os.ErrNotExist)
	require.Same(t, other.jwt, g.Gateway.current.Load().guards.jwt, "the configuration in force stays")
}

func TestSecretsOfTheEnvironment(t *testing.T) {
	t.Setenv("A_SECRET", "s")
	got, err := readSecret(config.Secret{Env: "A_SECRET"})
	require.NoError(t, err)
	require.Equal(t, "s", got)
	_, err = readSecret(config.Secret{Env: "NOT_SET_ANYWHERE"})
	require.ErrorContains(t, err, "NOT_SET_ANYWHERE is not set")
}
