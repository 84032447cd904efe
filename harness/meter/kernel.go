package meter

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// interruptsApart says whether the kernel accounts for interrupts apart from the processes they interrupt
// (CONFIG_IRQ_TIME_ACCOUNTING). Where the kernel's configuration cannot be read the answer is yes: a little foreign CPU may then go
// unseen, but our own traffic never counts as foreign.
var interruptsApart = sync.OnceValue(func() bool {
	text := kernelConfig()
	return text == nil || irqTime(text)
})

func irqTime(config []byte) bool {
	return bytes.Contains(config, []byte("\nCONFIG_IRQ_TIME_ACCOUNTING=y\n"))
}

// kernelConfig finds the configuration of the running kernel where distributions put it; nil where there is none.
func kernelConfig() []byte {
	if f, err := os.Open("/proc/config.gz"); err == nil {
		defer f.Close()
		if z, err := gzip.NewReader(f); err == nil {
			if text, err := io.ReadAll(z); err == nil {
				return text
			}
		}
	}
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return nil
	}
	text, err := os.ReadFile("/boot/config-" + unix.ByteSliceToString(name.Release[:]))
	if err != nil {
		return nil
	}
	return text
}
