package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/predict"
)

func about(v float64) predict.Value { return predict.Value{Value: v, Low: 0.9 * v, High: 1.1 * v} }

func TestAPredictionIsJudgedAgainstItsAim(t *testing.T) {
	good := foretold{Prediction: predict.Prediction{Arm: "mesh", P50: about(1.08), P99: about(2.4), CPU: about(1.0)}, Measured: &predict.Facts{P50: 1, P99: 2, CPU: 1.05, Trials: 5}}
	v := judgeForetold([]foretold{good}, atUsualSpeed)
	require.True(t, v.Met)
	require.Contains(t, v.text(), "p50: 1 of 1 within 10%, 1 in the interval; worst +8.0% (mesh)\n")
	require.Contains(t, v.text(), "p99: 1 of 1 within 25%, 0 in the interval; worst +20.0% (mesh)\n")
	require.Contains(t, v.text(), "the aim is met")

	off := good
	off.Arm, off.Measured = "direct", &predict.Facts{P50: 1.08, P99: 2.4, CPU: 1.2, Trials: 5}
	v = judgeForetold([]foretold{good, off}, atUsualSpeed)
	require.False(t, v.Met)
	require.Contains(t, v.text(), "CPU: 1 of 2 within 10%, 1 in the interval; worst -16.7% (direct)\nthe aim is missed")

	blind := good
	blind.Measured = &predict.Facts{P50: 1, CPU: 1}
	v = judgeForetold([]foretold{good, blind}, atUsualSpeed)
	require.False(t, v.Met, "what was not measured is not within the aim")
	require.Contains(t, v.text(), "p99: 1 of 2 within 25%, 0 in the interval; worst +20.0% (mesh); 1 not measured")
	require.False(t, judgeForetold(nil, atUsualSpeed).Met)
}
