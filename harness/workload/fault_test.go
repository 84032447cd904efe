package workload

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tell sends a fault to a node, or takes it back with an empty one.
func tell(t *testing.T, address, method, fault string) int {
	t.Helper()
	q, err := http.NewRequest(method, "http://"+address+FaultPath, strings.NewReader(fault))
	require.NoError(t, err)
	s, err := http.DefaultClient.Do(q)
	require.NoError(t, err)
	require.NoError(t, s.Body.Close())
	return s.StatusCode
}

// cutOff says how a node ended the connection instead of answering one request; nil if it answered.
func cutOff(t *testing.T, address string, seq int) error {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: a\r\n%s: %d\r\n\r\n", HeaderSeq, seq)
	require.NoError(t, err)
	_, err = bufio.NewReader(c).ReadByte()
	return err
}

// TestFaultsAreDrawnBySequenceNumber: the same requests fail, however often they are asked, and no other draw changes.
func TestFaultsAreDrawnBySequenceNumber(t *testing.T) {
	a := start(t, experiment(t, "  {entry: a, services: {a: {errors: 20%, work: {wait: {uniform: {min: 1us, max: 9us}}}}}}"), nil)
	const requests = 60
	ask := func() (failed, declared []int) {
		for seq := range requests {
			got := a.get(HeaderSeq, fmt.Sprint(seq))
			if got.status == http.StatusOK {
				continue
			}
			if got.headers[HeaderDeclared] == "1" {
				declared = append(declared, seq)
				continue
			}
			require.Equal(t, "injected error\n", got.body)
			failed = append(failed, seq)
		}
		return failed, declared
	}
	none, declared := ask()
	require.Empty(t, none)
	require.Equal(t, http.StatusNoContent, tell(t, a.entry, http.MethodPut, `{"errors": 0.5}`))
	failed, _ := ask()
	again, _ := ask()
	require.Equal(t, failed, again)
	require.InDelta(t, requests/2, len(failed), requests/4)
	require.Equal(t, http.StatusNoContent, tell(t, a.entry, http.MethodDelete, ""))
	none, after := ask()
	require.Empty(t, none)
	require.Equal(t, declared, after, "declared errors are as they were")
}

func TestFaultsDelayAndReset(t *testing.T) {
	a := start(t, experiment(t, "  {entry: a, services: {a: {}}}"), nil)
	require.Equal(t, http.StatusNoContent, tell(t, a.entry, http.MethodPut, `{"delay_ns": 30000000}`))
	began := time.Now()
	require.Equal(t, http.StatusOK, a.get().status)
	require.GreaterOrEqual(t, time.Since(began), 30*time.Millisecond)
	require.Equal(t, http.StatusNoContent, tell(t, a.entry, http.MethodPut, `{"reset": 0.5}`))
	reset := 0
	for seq := range 40 {
		if err := cutOff(t, a.entry, seq); err != nil {
			require.NotErrorIs(t, err, io.EOF, "a reset is no orderly end")
			require.Error(t, cutOff(t, a.entry, seq), "seq %d is cut off each time", seq)
			reset++
		}
	}
	require.InDelta(t, 20, reset, 12)
	for _, wrong := range []string{"", "{", `{"errors": 2}`, `{"reset": -1}`, `{"delay_ns": -5}`} {
		require.Equal(t, http.StatusBadRequest, tell(t, a.entry, http.MethodPut, wrong), wrong)
	}
	require.Equal(t, http.StatusMethodNotAllowed, tell(t, a.entry, http.MethodGet, ""))
}
