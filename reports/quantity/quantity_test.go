package quantity_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/reports/quantity"
)

func TestOneSpelling(t *testing.T) {
	within := func(v, low, high float64) quantity.Quantity {
		return quantity.Quantity{Value: v, Interval: &quantity.Interval{Low: low, High: high}, Unit: quantity.Milliseconds, N: 6}
	}
	for _, c := range []struct {
		q    quantity.Quantity
		want string
	}{
		{quantity.Of(0, quantity.Milliseconds), "0.000 ms"},
		{quantity.Of(0, quantity.None), "0"},
		{quantity.Of(0.31249, quantity.Milliseconds), "0.312 ms"},
		{quantity.Of(1.1, quantity.Milliseconds), "1.10 ms"},
		{quantity.Of(9.996, quantity.Milliseconds), "10.0 ms"},
		{quantity.Of(99.96, quantity.Milliseconds), "100 ms"},
		{quantity.Of(12345.6, quantity.Milliseconds), "12,346 ms"},
		{quantity.Of(1000, quantity.PerSecond), "1,000/s"},
		{quantity.Of(1234567, quantity.None), "1,234,567"},
		{quantity.Of(12.5, quantity.Percent), "12.5%"},
		{quantity.Of(-0.0001, quantity.Milliseconds), "0.000 ms"},
		{quantity.Of(-0.25, quantity.Milliseconds), "−0.250 ms"},
		{within(0.95, 0.8, 1.1), "0.95 ms [0.80, 1.10]"},
		{within(-0.01, -0.2, 0.1), "−0.010 ms [−0.200, 0.100]"},
		{quantity.Quantity{Value: 1, Unit: quantity.Seconds, Note: "no interval (n = 4 rounds)"}, "1.00 s, no interval (n = 4 rounds)"},
		{quantity.Quantity{Value: 1500, Unit: quantity.PerSecond, Note: "2,000 misses"}, "1,500/s (2,000 misses)"},
		{quantity.Absent("not measured in this run"), "not measured in this run"},
		{quantity.Absent(""), "not known"},
		{quantity.Of(math.NaN(), quantity.Seconds), "no number"},
		{quantity.Of(math.Inf(1), quantity.Seconds), "no number"},
	} {
		require.Equal(t, c.want, c.q.Text())
	}
}

func TestJSONCarriesTheSpelling(t *testing.T) {
	b, err := json.Marshal(quantity.Of(0.31249, quantity.Milliseconds))
	require.NoError(t, err)
	require.JSONEq(t, `{"value":0.31249,"unit":"ms","text":"0.312 ms"}`, string(b))
	b, err = json.Marshal(quantity.Absent("not measured"))
	require.NoError(t, err)
	require.JSONEq(t, `{"missing":"not measured"}`, string(b))
}

func TestExcludesNeedsAnInterval(t *testing.T) {
	q := quantity.Of(5, quantity.Milliseconds)
	require.False(t, q.Excludes(0))
	q.Interval = &quantity.Interval{Low: 0.3, High: 9}
	require.True(t, q.Excludes(0.2))
	require.False(t, q.Excludes(0.3))
	q.Interval = &quantity.Interval{Low: -9, High: -1}
	require.True(t, q.Excludes(0.5))
}

func TestTickUsesAsFewDigitsAsItNeeds(t *testing.T) {
	require.Equal(t, "0.5", quantity.Tick(0.5))
	require.Equal(t, "2,000", quantity.Tick(2000))
	require.Equal(t, "0.05", quantity.Tick(0.05))
	require.Equal(t, "0", quantity.Tick(0))
}
