package gateway

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGatewayFaults: the hook of sidecars, with the same words.
func TestGatewayFaults(t *testing.T) {
	at := origin(t, "one")
	g := start(t, upstreams(at)+everything+"faults: {told: true, number: X-Number, seed: 3, rules: [{at: request, share: 40%, abort: 599}]}\n")
	ask := func(n int) int {
		q, err := http.NewRequest("GET", g.url+"/", nil)
		require.NoError(t, err)
		q.Header.Set("X-Number", fmt.Sprint(n))
		a, err := http.DefaultClient.Do(q)
		require.NoError(t, err)
		require.NoError(t, a.Body.Close())
		return a.StatusCode
	}
	var hit, again int
	for n := range 30 {
		switch first, second := ask(n), ask(n); {
		case first == 599 && second == 599:
			hit++
		case first != 200 || second != 200:
			again++
		}
	}
	require.Zero(t, again, "the same number, the same answer")
	require.InDelta(t, 12, hit, 9)
	tell := func(method, body string) {
		q, err := http.NewRequest(method, "http://"+g.AdminAddress()+"/faults", strings.NewReader(body))
		require.NoError(t, err)
		a, err := http.DefaultClient.Do(q)
		require.NoError(t, err)
		require.NoError(t, a.Body.Close())
		require.Equal(t, http.StatusNoContent, a.StatusCode)
	}
	tell("PUT", `{"rules": [{"direction": "outbound", "at": "response", "reset": true}]}`)
	for n := 0; ; n++ { // one that the file's own rule spares
		if a, err := http.Get(g.url + "/"); err == nil {
			_, err = io.Copy(io.Discard, a.Body)
			require.NoError(t, a.Body.Close())
			if a.StatusCode == 599 {
				continue
			}
			require.Error(t, err, "half of a body")
		}
		break
	}
	g.shows(regexp.MustCompile(`gateway_injected_faults_total{at="response",direction="outbound"} [1-9]`))
	g.shows(regexp.MustCompile(`gateway_stages_info.*faults`))
	tell("DELETE", "")

	changed := *g.current.Load().config
	changed.Faults = nil
	require.ErrorContains(t, g.Reload(&changed), "faults")
	require.NotContains(t, start(t, upstreams(at)+everything).current.Load().stages, "faults")
}
