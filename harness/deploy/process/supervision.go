package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// forceTime is how long a supervisor may take to kill everything before it is killed itself.
const forceTime = 5 * time.Second

// supervision is the harness's side of one supervisor.
type supervision struct {
	process  *exec.Cmd
	input    *os.File // closing it is the order to kill everything; so is our own death
	commands *lines
	events   chan event // closed when the supervisor's stdout ends
}

// startSupervisor runs the supervisor in a session of its own, so that a terminal's signals reach the harness alone.
func startSupervisor(command []string, mark, logs string) (*supervision, error) {
	fail := func(err error) (*supervision, error) { return nil, fmt.Errorf("starting the supervisor: %w", err) }
	log, err := os.OpenFile(filepath.Join(logs, "supervisor.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fail(err)
	}
	defer log.Close()
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	defer theirIn.Close()
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		return fail(errors.Join(err, ourOut.Close()))
	}
	defer theirOut.Close()
	process := exec.Command(command[0], command[1:]...)
	process.Env = []string{markName + "=" + mark}
	process.Stdin, process.Stdout, process.Stderr = theirIn, theirOut, log
	process.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := process.Start(); err != nil {
		return fail(errors.Join(err, ourOut.Close(), ourIn.Close()))
	}
	s := &supervision{process: process, input: ourOut, commands: &lines{w: ourOut}, events: make(chan event, 64)}
	go func() {
		defer ourIn.Close()
		receive(ourIn, s.events)
	}()
	return s, nil
}

func (s *supervision) send(c command) error {
	if err := s.commands.send(c); err != nil {
		return fmt.Errorf("telling the supervisor to %s %s: %w", c.Do, c.ID, err)
	}
	return nil
}

// end takes everything down: politely while ctx and grace last, then by force. over is closed once the supervisor's events ended,
// which is when nothing is left.
func (s *supervision) end(ctx context.Context, grace time.Duration, over <-chan struct{}) {
	if ctx.Err() == nil && s.send(command{Do: doStop, Grace: int64(grace)}) == nil {
		select {
		case <-over:
		case <-ctx.Done():
		case <-time.After(grace + forceTime):
		}
	}
	_ = s.input.Close()
	select {
	case <-over:
	case <-time.After(forceTime):
		_ = s.process.Process.Kill()
		<-over
	}
	_ = s.process.Wait() // its status says nothing that matters here: it is gone
}
