package intercept

import (
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// The rules are in files, so that a change of them is read as what the kernel will be told.
func TestRules(t *testing.T) {
	full := Plan{UID: 1337, Mark: 0x63, Outbound: 4142, Inbound: 4143, SkipOut: []int{53, 22}, SkipIn: []int{4191},
		SkipTo: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	for file, text := range map[string]string{
		"full.nft":       full.NFTables(),
		"full.iptables":  full.IPTables(false),
		"full.ip6tables": full.IPTables(true),
		"out.nft":        Plan{UID: 1337, Outbound: 4142}.NFTables(),
		"in.iptables":    Plan{UID: -1, Inbound: 4143}.IPTables(false),
	} {
		want, err := os.ReadFile("testdata/" + file)
		require.NoError(t, err)
		require.Equal(t, string(want), text, file)
	}
}

func TestPlansThatWouldLoop(t *testing.T) {
	for name, c := range map[string]struct {
		plan Plan
		says string
	}{
		"nothing":      {Plan{UID: 5}, "neither"},
		"no exemption": {Plan{UID: -1, Outbound: 1}, "to itself"},
		"root":         {Plan{UID: 0, Outbound: 1}, "user of its own"},
		"port":         {Plan{UID: 5, Outbound: 70000}, "not a port"},
		"skipped port": {Plan{UID: 5, Outbound: 1, SkipIn: []int{-1}}, "not a port"},
	} {
		_, err := Print(c.plan, NFT)
		require.ErrorContains(t, err, c.says, name)
	}
	_, err := Print(Plan{UID: 5, Outbound: 1}, "ipfw")
	require.ErrorContains(t, err, "known are nft and iptables")
	require.NoError(t, Plan{UID: -1, Inbound: 1}.Check(), "inbound alone needs no exemption")
}
