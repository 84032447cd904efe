package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Command is the argument that makes the harness's executable a driver process.
const Command = "drive"

// Run drives a job in a process of its own, executable with the argument Command, and returns its result. onBlock, if not nil, is called
// at the start and at the end of the measured block. The process is gone when Run returns.
func Run(ctx context.Context, job Job, executable string, onBlock func(start bool)) (*Result, error) {
	return RunObserved(ctx, job, executable, func(e Event) {
		if onBlock != nil && (e.Event == EventBlockStart || e.Event == EventBlockEnd) {
			onBlock(e.Event == EventBlockStart)
		}
	})
}

// RunObserved is Run for callers that want every event as it comes: the first one carries the driver's PID.
func RunObserved(ctx context.Context, job Job, executable string, observe func(Event)) (*Result, error) {
	line, err := json.Marshal(job)
	if err != nil {
		return nil, fmt.Errorf("driver: writing the job: %w", err)
	}
	alive, end := context.WithCancel(ctx)
	defer end()
	c := exec.CommandContext(alive, executable, Command)
	var complaint tail
	c.Stderr = &complaint
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C at the terminal is for the harness, which ends the driver itself
	stdin, err := c.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("driver: %w", err)
	}
	stdout, err := c.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("driver: %w", err)
	}
	// The end of stdin ends the driver; if it does not, it is killed.
	c.Cancel = stdin.Close
	c.WaitDelay = 2 * time.Second
	if err := c.Start(); err != nil {
		return nil, fmt.Errorf("driver: starting %s: %w", executable, err)
	}
	if _, err := stdin.Write(append(line, '\n')); err != nil {
		end()
		return nil, errors.Join(fmt.Errorf("driver: sending the job: %w", err), c.Wait(), complaint.err())
	}
	result, err := follow(stdout, observe)
	end() // whether it succeeded or not, there is nothing more to wait for
	wait := c.Wait()
	if err == nil {
		return result, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, fmt.Errorf("driver: %w", cause)
	}
	return nil, errors.Join(err, wait, complaint.err())
}

// follow reads events until the last one.
func follow(stdout io.Reader, observe func(Event)) (*Result, error) {
	in := bufio.NewReader(stdout)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil, fmt.Errorf("driver: ended without a result: %w", err)
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("driver: printed %q: %w", bytes.TrimSpace(line), err)
		}
		observe(e)
		switch e.Event {
		case EventResult:
			if e.Result == nil {
				return nil, errors.New("driver: printed a result without content")
			}
			return e.Result, nil
		case EventError:
			return nil, fmt.Errorf("driver: %s", e.Error)
		}
	}
}

// tail keeps the end of what a process complains about.
type tail struct{ text []byte }

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if len(t.text) > tailSize {
		t.text = append([]byte(nil), t.text[len(t.text)-tailSize:]...)
	}
	return len(p), nil
}

func (t *tail) err() error {
	if text := strings.TrimSpace(string(t.text)); text != "" {
		return errors.New(text)
	}
	return nil
}
