package meter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseMachine(t *testing.T) {
	stat := "cpu  100 10 50 800 20 3 7 30 60 5\ncpu0 1 1 1 1 1 1 1 1 1 1\n"
	require.Equal(t, machine{busy: 170, interrupts: 10, steal: 30, idle: 820}, parseMachine([]byte(stat)),
		"guest times are part of user and nice already")
	require.Zero(t, parseMachine([]byte("cpu 1 2 3\n")))
	require.Zero(t, parseMachine(nil))
}

func TestMachineSince(t *testing.T) {
	before := machine{busy: 1000, interrupts: 100, steal: 10, idle: 5000}
	after := machine{busy: 1100, interrupts: 120, steal: 20, idle: 5090}
	tests := []struct {
		name    string
		ours    time.Duration
		apart   bool
		foreign float64
	}{
		{"some foreign", 900 * time.Millisecond, false, 0.05},
		{"more than the ticks saw", 1010 * time.Millisecond, false, 0},
		{"interrupts are in nobody's clock", 790 * time.Millisecond, true, 0.005},
		{"all foreign", 0, false, 0.5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			use := after.since(before, int64(tt.ours), tt.apart)
			require.InDelta(t, tt.foreign, use.Foreign, 1e-9)
			require.InDelta(t, 0.05, use.Steal, 1e-9)
			require.Equal(t, int64(time.Second), use.Busy)
			require.Equal(t, int64(tt.ours), use.Ours)
		})
	}
	require.Zero(t, before.since(before, 0, false).Foreign, "no tick passed: nothing was seen")
}

func TestIRQTime(t *testing.T) {
	require.True(t, irqTime([]byte("CONFIG_A=y\nCONFIG_IRQ_TIME_ACCOUNTING=y\nCONFIG_B=y\n")))
	require.False(t, irqTime([]byte("CONFIG_A=y\n# CONFIG_IRQ_TIME_ACCOUNTING is not set\nCONFIG_HAVE_IRQ_TIME_ACCOUNTING=y\n")))
}

func TestSplit(t *testing.T) {
	tests := []struct {
		name         string
		cpu          int64
		from, to     ticks
		user, system int64
	}{
		{"by the ratio", 1000, ticks{5, 5}, ticks{35, 15}, 750, 250},
		{"too few ticks", 1000, ticks{5, 5}, ticks{15, 14}, 0, 0},
		{"a process that ended", 1000, ticks{50, 50}, ticks{}, 0, 0},
		{"user alone", 999, ticks{}, ticks{user: 100}, 999, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			user, system := split(tt.cpu, tt.from, tt.to)
			require.Equal(t, tt.user, user)
			require.Equal(t, tt.system, system)
		})
	}
}

func TestStatusKiB(t *testing.T) {
	status := []byte("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
	require.Equal(t, int64(1<<20), statusKiB(status, "VmRSS:"))
	require.Equal(t, int64(2<<20), statusKiB(status, "VmHWM:"))
	require.Zero(t, statusKiB(status, "VmSwap:"), "a kernel thread has none")
}

func TestPerSecond(t *testing.T) {
	zero := time.Unix(1000, 0)
	at := func(d time.Duration, cpu int64) sample { return sample{zero.Add(d), cpu} }
	samples := []sample{at(-500*time.Millisecond, 0), at(500*time.Millisecond, 100), at(1500*time.Millisecond, 300), at(2600*time.Millisecond, 300)}
	require.Equal(t, []int64{150, 100, 0}, perSecond(samples, zero, zero.Add(2500*time.Millisecond)), "interpolated at 0, 1, 2 and 2.5 s")
	require.Equal(t, []int64{0}, perSecond(nil, zero, zero.Add(time.Second)))
	require.Empty(t, perSecond(samples, zero, zero))
}
