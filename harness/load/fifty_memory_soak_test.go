//go:build soak

package load

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tcpUse is what the kernel holds for TCP.
type tcpUse struct{ sockets, kib int }

// kernelTCP reads proc_net(5), sockstat: "TCP: inuse 5 orphan 0 tw 0 alloc 7 mem 1"; mem is in pages.
func kernelTCP(t *testing.T) tcpUse {
	t.Helper()
	data, err := os.ReadFile("/proc/net/sockstat")
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		var inuse, orphan, tw, alloc, mem int
		if n, _ := fmt.Sscanf(line, "TCP: inuse %d orphan %d tw %d alloc %d mem %d", &inuse, &orphan, &tw, &alloc, &mem); n == 5 {
			return tcpUse{inuse, mem * os.Getpagesize() / 1024}
		}
	}
	t.Fatalf("no TCP in /proc/net/sockstat:\n%s", data)
	return tcpUse{}
}

// residentKiB is the resident memory of a process, of the peak: proc_pid_status(5), VmHWM.
func residentKiB(pid int) int {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib
		}
	}
	return 0
}

// slabKiB is the kernel's memory for its objects, sockets among them: proc_meminfo(5).
func slabKiB(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/meminfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "Slab: %d kB", &kib); n == 1 {
			return kib
		}
	}
	return 0
}
