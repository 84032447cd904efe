package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

const before = `version: 1
upstreams: {s: {endpoints: [{address: "127.0.0.1:1"}]}}
routes: [{name: r, backends: [{upstream: s}]}]
stages:
`

func stages(t *testing.T, text string) (*config.Gateway, error) {
	t.Helper()
	return config.ParseGateway("/etc/gateway/g.yaml", []byte(before+text))
}

func TestStagesOfTokensHaveDefaults(t *testing.T) {
	g, err := stages(t, `  jwt: {keys: {file: keys.json}, issuers: [i], audiences: [a]}
  introspection: {mode: off}
  authorization: {rules: [{name: all}]}
  cors: {origins: ["*"]}
  rate_limit: {policies: [{name: p, rate: 1, only: [whoever a token names]}], redis: {address: "r:6379", when_down: deny}}
`)
	require.NoError(t, err)
	require.Equal(t, "/etc/gateway/keys.json", g.Stages.JWT.Keys.File)
	require.Equal(t, "5s", g.Stages.JWT.Skew.String())
	require.Equal(t, "sub", g.Stages.JWT.Claims.Consumer)
	require.Equal(t, "Authorization", g.Stages.JWT.Token.Header)
	require.Equal(t, "allow", g.Stages.Authorization.Rules[0].Action)
	require.Equal(t, []string{"GET", "HEAD", "POST"}, g.Stages.CORS.Methods)
	require.Equal(t, "50ms", g.Stages.RateLimit.Redis.Timeout.String())
	require.Equal(t, config.Off, g.Stages.Modes()["introspection"])
	require.Equal(t, config.On, g.Stages.Modes()["jwt"])
}

func TestFaultsOfTokenStages(t *testing.T) {
	const jwt = `  jwt: {keys: {file: k}, issuers: [i], audiences: [a]`
	const introspection = `  introspection: {url: "https://s/i", client_id: g, client_secret: {env: S}`
	for text, want := range map[string]string{
		`  jwt: {keys: {}, issuers: [i], audiences: [a]}`:                                                        "names neither file nor url",
		`  jwt: {keys: {file: k, url: "https://x/"}, issuers: [i], audiences: [a]}`:                              "both given",
		`  jwt: {keys: {url: "http://keys.example.com/"}, issuers: [i], audiences: [a]}`:                         "whoever stands between",
		`  jwt: {keys: {url: "https://u:p@keys.example.com/"}, issuers: [i], audiences: [a]}`:                    "without a user",
		`  jwt: {keys: {url: "keys"}, issuers: [i], audiences: [a]}`:                                             "not a URL",
		`  jwt: {keys: {file: k}, audiences: [a]}`:                                                               "issuers is missing",
		`  jwt: {keys: {file: k}, issuers: [i]}`:                                                                 "audiences is missing",
		`  jwt: {keys: {file: k}, issuers: [i], audiences: [""]}`:                                                "nobody's",
		`  jwt: {keys: {url: "https://x/"}, issuers: [i], audiences: [a], algorithms: [HS256]}`:                  "takes a secret",
		jwt + `, algorithms: [none]}`:                                                                            "algorithm",
		jwt + `, algorithms: [RS265]}`:                                                                           "did you mean",
		jwt + `, algorithms: []}`:                                                                                "algorithms is empty",
		jwt + `, skew: 1h}`:                                                                                      "clocks that differ",
		jwt + `, max_cached: 0}`:                                                                                 "at least 1",
		jwt + `, token: {credential: keep}}`:                                                                     "credential",
		jwt + `, token: {max: 1MiB}}`:                                                                            "64KiB",
		jwt + `, claims: {consumer: ""}}`:                                                                        "nobody would be authenticated",
		jwt + `, claims: {fields: {Host: sub}}}`:                                                                 "not for claims",
		jwt + `, claims: {fields: {X-Forwarded-For: sub}}}`:                                                      "not for claims",
		jwt + `, claims: {fields: {X_User: sub}}}`:                                                               "every server reads",
		jwt + `, mode: maybe}`:                                                                                   "mode",
		jwt + "}\n" + introspection + "}":                                                                        "reads the token in Authorization already",
		`  introspection: {client_id: g, client_secret: {env: S}}`:                                               "url is missing",
		`  introspection: {url: "https://s/i", client_secret: {env: S}}`:                                         "client_id is missing",
		`  introspection: {url: "https://s/i", client_id: g, client_secret: {env: S, file: f}}`:                  "neither or both",
		`  introspection: {url: "https://s/i", client_id: g}`:                                                    "neither or both",
		introspection + `, max_concurrent: 0}`:                                                                   "at least 1",
		`  authorization: {rules: []}`:                                                                           "rules is empty",
		`  authorization: {rules: [{name: a, action: permit}]}`:                                                  "action",
		`  authorization: {rules: [{name: a}, {name: a}]}`:                                                       "two rules",
		`  authorization: {rules: [{}]}`:                                                                         "name is missing",
		`  authorization: {rules: [{name: a, addresses: [10.0.0.1/8]}]}`:                                         "10.0.0.0/8",
		`  authorization: {rules: [{name: a, addresses: [home]}]}`:                                               "not a range",
		`  authorization: {rules: [{name: a, paths: [{prefix: "/a//b"}]}]}`:                                      "no request path",
		`  authorization: {rules: [{name: a, paths: [{}]}]}`:                                                     "neither exact nor prefix",
		`  authorization: {rules: [{name: a, methods: ["G T"]}]}`:                                                "not a method",
		`  authorization: {rules: [{name: a, claims: {role: []}}]}`:                                              "never hold",
		`  cors: {origins: []}`:                                                                                  "origins is empty",
		`  cors: {origins: ["*"], credentials: true}`:                                                            "do not go together",
		`  cors: {origins: ["https://a.example/"]}`:                                                              "not an origin",
		`  cors: {origins: ["null"]}`:                                                                            "not an origin",
		`  cors: {origins: ["https://A.example"]}`:                                                               "not an origin",
		`  cors: {origins: ["https://a.example"], headers: ["*"]}`:                                               "list the names",
		`  cors: {origins: ["https://a.example"], methods: ["G T"]}`:                                             "not a name",
		`  rate_limit: {policies: [{name: p, rate: 1}], redis: {address: "r:1"}}`:                                "when_down is missing",
		`  rate_limit: {policies: [{name: p, rate: 1}], redis: {address: "r:1", when_down: perhaps}}`:            "perhaps",
		`  rate_limit: {policies: [{name: p, rate: 1}], redis: {address: "r", when_down: deny}}`:                 "not an address",
		`  rate_limit: {policies: [{name: p, rate: 1}], redis: {address: "r:1", when_down: deny, timeout: 0s}}`:  "above it",
		`  rate_limit: {policies: [{name: p, rate: 2M}], redis: {address: "r:1", when_down: deny}}`:              "at most 1M",
		`  rate_limit: {policies: [{name: p, rate: 1}], redis: {address: "r:1", when_down: deny, password: {}}}`: "neither or both",
	} {
		_, err := stages(t, text)
		require.ErrorContains(t, err, want, text)
		line := strings.Count(before, "\n") + 1
		require.Regexp(t, `/etc/gateway/g.yaml:(`+string(rune('0'+line))+`|6):\d+`, err.Error(), "a fault has its place")
	}
}

func TestASecretWrittenIntoTheFileIsNotShown(t *testing.T) {
	for _, text := range []string{
		`  introspection: {url: "https://s/i", client_id: g, client_secret: hunter2}`,
		"  introspection:\n    client_secret: \"hunter2\"\n",
		`  rate_limit: {policies: [], redis: {address: "r:1", password: 'hunter2'}}`,
	} {
		_, err := stages(t, text)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
