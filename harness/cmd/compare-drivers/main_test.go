package main

import (
	"bytes"
	"io"
	"math"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/harness/load"
)

// The test binary plays the driver's process and the origin, as the program does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == load.Command || os.Args[1] == originCommand) {
		main()
	}
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}

func TestADriverIsMeasured(t *testing.T) {
	executable, err := os.Executable()
	require.NoError(t, err)
	url, end, err := startOrigin(executable)
	require.NoError(t, err)
	defer end()
	r, err := drivers[1].measure(t.Context(), executable, url, 300, 200*time.Millisecond)
	require.NoError(t, err)
	require.Positive(t, r.achieved)
	require.Positive(t, r.cpu)
	require.LessOrEqual(t, r.slip50, r.slip99)
	require.GreaterOrEqual(t, r.cpu, r.cpuNotWaiting)
}

func TestWrkIsRead(t *testing.T) {
	count, seconds, err := readWrk("Running 4s test @ http://127.0.0.1:1/\n  184309 requests in 4.01s, 203.20MB read\nRequests/sec:  45962.34\n")
	require.NoError(t, err)
	require.Equal(t, 184309.0, count)
	require.InDelta(t, 4.01, seconds, 1e-9)
	_, seconds, err = readWrk("  7 requests in 1.50m, 1KB read")
	require.NoError(t, err)
	require.InDelta(t, 90, seconds, 1e-9)
	for _, text := range []string{"unable to connect to 127.0.0.1:1 Connection refused", "  0 requests in 4.01s, 0B read"} {
		_, _, err = readWrk(text)
		require.ErrorContains(t, err, "wrk: ")
	}
}

func TestPrint(t *testing.T) {
	var out bytes.Buffer
	none := math.NaN()
	require.NoError(t, printRows(&out, []row{
		{"native, precise", 2000, 1999.6, 12.3, 150, 240, 480, 14.4}, {"wrk, closed loop", none, 45962, none, none, none, 11.2, 11.2}}))
	require.Regexp(t, `native, precise +2000/s +2000/s +12 +150 +240 +480\.0 +14\.4`, out.String())
	require.Regexp(t, `wrk, closed loop +- +45962/s +- +- +- +11\.2`, out.String())
	require.Equal(t, 2, run([]string{"--duration", "1ms"}, io.Discard, io.Discard))
}
