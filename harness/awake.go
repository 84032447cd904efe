package harness

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"crossroads/topologies"
)

// latencyDevice takes the longest time that a processor may need to wake up, in microseconds, and holds it for as long as it is open
// (Linux, Documentation/power/pm_qos_interface.rst).
const latencyDevice = "/dev/cpu_dma_latency"

// stayAwake keeps idle processors from falling asleep until the returned file is closed: asked for a wake-up in no time at all, the
// kernel's idle loop polls. A process that is killed closes its files, so nothing outlives it.
//
// It is for experiments that ask where time goes. A processor that has fallen asleep takes tens of microseconds to come back, the more
// so the longer a proxy keeps the other one busy; in production that is part of a proxy's price, and so it is unless declared.
func stayAwake(device string) (io.Closer, error) {
	f, err := os.OpenFile(device, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("keeping idle processors awake: %w", err)
	}
	if err := binary.Write(f, binary.NativeEndian, int32(0)); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("keeping idle processors awake: %w", err)
	}
	return f, nil
}

// keepAwake does what a placement declares, until the returned function is called. Where it cannot, the run's environment says so.
func keepAwake(p topologies.Placement) (rest func()) {
	if p.Awake {
		if awake, err := stayAwake(latencyDevice); err == nil {
			return func() { _ = awake.Close() }
		}
	}
	return func() {}
}
