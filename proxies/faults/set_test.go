package faults_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/faults"
)

// TestFaultsAreTold: rules come while the proxy runs, beside those of the file and in the place of those told before.
func TestFaultsAreTold(t *testing.T) {
	c := &config.Faults{Number: "X-Number", Told: true, Rules: []config.FaultRule{{Direction: "outbound", At: config.AtRequest, Share: 1, Abort: 503}}}
	check := func(told *config.Faults) error {
		if len(told.Rules) > 1 {
			return errors.New("too much")
		}
		return nil
	}
	s := faults.New(c, func(string, string) {}, check, slog.New(slog.DiscardHandler))
	ask := func(method, body string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(method, "/faults", strings.NewReader(body)))
		return w
	}
	require.NoError(t, s.Own.Renewal(t.Context()))
	require.Equal(t, http.StatusNoContent, ask("PUT", `{"rules": [{"at": "renewal", "reset": true}]}`).Code)
	require.Error(t, s.Own.Renewal(t.Context()), "a share that is left out is all")
	require.NotNil(t, s.Outbound.Request(numbered(1)).Abort, "the file's rules stay")
	require.Equal(t, http.StatusNoContent, ask("PUT", `{"rules": [{"at": "dial", "direction": "outbound", "reset": true}]}`).Code)
	require.NoError(t, s.Own.Renewal(t.Context()))
	require.True(t, s.Outbound.Dial().Reset)
	require.False(t, s.Inbound.Dial().Reset)
	for body, says := range map[string]string{`{"rules": [{"at": "dial", "share": "half"}]}`: "half", `{"rulez": []}`: "rulez", `{"rules": [{"att": "dial"}]}`: "att",
		`{"rules": [{"at": "dial"}, {"at": "dial"}]}`: "too much"} {
		w := ask("PUT", body)
		require.Equal(t, http.StatusUnprocessableEntity, w.Code)
		require.Contains(t, w.Body.String(), says)
	}
	require.True(t, s.Outbound.Dial().Reset, "what was refused has changed nothing")
	require.Equal(t, http.StatusNoContent, ask("DELETE", "").Code)
	require.False(t, s.Outbound.Dial().Reset)
	require.NotNil(t, s.Outbound.Request(numbered(1)).Abort)
	require.Equal(t, http.StatusMethodNotAllowed, ask("POST", "").Code)
	var none faults.Set
	require.Nil(t, none.Handler())
}

// TestSnapshotsAreHeld: as long as a rule holds, or for its delay after they came.
func TestSnapshotsAreHeld(t *testing.T) {
	now := time.Unix(1000, 0)
	c := &config.Faults{}
	require.Nil(t, faults.Of(c, "", nil, nil))
	c.Told = true
	counted := 0
	p := faults.Of(c, "", func(_, at string) { require.Equal(t, "snapshot", at); counted++ }, func() time.Time { return now })
	came := now
	require.False(t, p.Holds(came, true))
	p.Tell([]config.FaultRule{{At: config.AtSnapshot, Share: 1, Reset: true, For: 2e9}})
	for _, want := range []bool{true, true, false} {
		require.Equal(t, want, p.Holds(came, now == came))
		now = now.Add(time.Second)
	}
	require.Equal(t, 1, counted, "one snapshot, however often it was asked about")
	p.Tell([]config.FaultRule{{At: config.AtSnapshot, Share: 1, Delay: 2e9}})
	came = now
	for _, want := range []bool{true, true, false} {
		require.Equal(t, want, p.Holds(came, false))
		now = now.Add(time.Second)
	}
}
