package telemetry

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Limits of the access log's buffer: when it is flushed, and when lines are dropped because the writer cannot keep up.
const (
	logFlushBytes = 64 << 10
	logFlushEvery = 200 * time.Millisecond
	logMaxBytes   = 4 << 20
)

// AccessLog writes lines in the background. A request copies its line into a buffer and goes on; a writer that blocks, such as a
// full pipe or disk, costs lines and never time.
type AccessLog struct {
	mu      sync.Mutex
	pending []byte
	spare   []byte // the buffer written last, to be filled next
	file    string // to be opened again by Reopen; "" for a stream
	wake    chan struct{}
	done    chan struct{}
	ended   chan struct{}
	dropped func()

	out   sync.Mutex // held while writing
	to    io.Writer
	close io.Closer
}

// OpenAccessLog opens a log: stdout, stderr, or a file that is appended to. dropped is called for each line lost. The target off
// returns nil, which is a log that takes nothing.
func OpenAccessLog(target string, stdout, stderr io.Writer, dropped func()) (*AccessLog, error) {
	l := &AccessLog{wake: make(chan struct{}, 1), done: make(chan struct{}), ended: make(chan struct{}), dropped: dropped}
	switch target {
	case "off", "":
		return nil, nil
	case "stdout":
		l.to = stdout
	case "stderr":
		l.to = stderr
	default:
		l.file = target
		if err := l.Reopen(); err != nil {
			return nil, err
		}
	}
	go l.run()
	return l, nil
}

// Reopen opens the file again by its name, after something else has moved it away. A stream stays as it is.
func (l *AccessLog) Reopen() error {
	if l == nil || l.file == "" {
		return nil
	}
	f, err := os.OpenFile(l.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("open the access log: %w", err)
	}
	l.flush()
	l.out.Lock()
	defer l.out.Unlock()
	if l.close != nil {
		l.close.Close()
	}
	l.to, l.close = f, f
	return nil
}

// Write copies one line, which ends in a newline.
func (l *AccessLog) Write(line []byte) {
	l.mu.Lock()
	full := len(l.pending)+len(line) > logMaxBytes
	if !full {
		l.pending = append(l.pending, line...)
	}
	due := len(l.pending) >= logFlushBytes
	l.mu.Unlock()
	if full {
		l.dropped()
	}
	if due {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// Close writes what is left and closes the file.
func (l *AccessLog) Close() {
	if l == nil {
		return
	}
	close(l.done)
	<-l.ended
	if l.close != nil {
		l.close.Close()
	}
}

func (l *AccessLog) run() {
	defer close(l.ended)
	tick := time.NewTicker(logFlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-l.wake:
		case <-l.done:
			l.flush()
			return
		}
		l.flush()
	}
}

func (l *AccessLog) flush() {
	l.out.Lock()
	defer l.out.Unlock()
	l.mu.Lock()
	lines := l.pending
	l.pending = l.spare[:0]
	l.spare = nil
	l.mu.Unlock()
	if len(lines) == 0 {
		l.mu.Lock()
		l.spare = lines
		l.mu.Unlock()
		return
	}
	if _, err := l.to.Write(lines); err != nil {
		for _, c := range lines {
			if c == '\n' {
				l.dropped()
			}
		}
	}
	l.mu.Lock()
	l.spare = lines[:0]
	l.mu.Unlock()
}
