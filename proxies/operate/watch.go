package operate

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Watch calls changed each time a file is another one than before, until ctx ends. It looks every so often instead of asking the
// system to be told: that works on every file system, through symbolic links that are swapped, and for a file that was away for a
// while. A file that is still being written is left alone until it has been the same for two looks.
func Watch(ctx context.Context, every time.Duration, look func() string, changed func()) {
	known := look()
	last := known
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := look()
		if now == last && now != known && now != "" {
			known = now
			changed()
		}
		last = now
	}
}

// FileIdentity says which file stands at a path: another one, or another content, has another identity. "" is none.
func FileIdentity(path string) string {
	s, err := os.Stat(path)
	if err != nil {
		return ""
	}
	inode := uint64(0)
	if sys, ok := s.Sys().(*syscall.Stat_t); ok {
		inode = sys.Ino // a file swapped for one of the same age and size
	}
	return fmt.Sprint(s.ModTime().UnixNano(), s.Size(), inode)
}
