package process

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Supervise is the supervisor: the parent of every process of one deployment. It obeys the commands on stdin and reports on stdout.
// When stdin ends, whatever the reason (the harness may have been killed with -9), it kills every descendant and removes the
// private directory before it returns.
//
// It is a child subreaper (prctl(2)), so that a grandchild whose parent ended becomes its own child wherever it tries to go, and
// the children die with it by parent-death signal should it be killed itself. That signal follows the thread that forked, which is
// why this goroutine keeps its thread.
func Supervise(stdin io.Reader, stdout io.Writer) int {
	runtime.LockOSThread()
	s := &supervisor{events: &lines{w: stdout}, children: map[string]int{}, names: map[int]string{}}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "supervise: becoming a child subreaper:", err)
		return 1
	}
	// A Ctrl-C at the terminal is the harness's to judge; here only the end of stdin and SIGTERM mean the end.
	signal.Ignore(unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE)
	ended, told := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	signal.Notify(told, unix.SIGTERM)
	commands := make(chan command)
	go receive(stdin, commands)
	s.run(commands, ended, told)
	killChildren(s.reaped)
	s.cleanUp()
	s.report(event{Event: eventStopped})
	return 0
}

type supervisor struct {
	events   *lines
	private  string
	children map[string]int // PID by ID, of those that run
	names    map[int]string
}

// run obeys until there is nothing left to obey: stdin ended, SIGTERM, or a stop that was carried out.
func (s *supervisor) run(commands <-chan command, ended, told <-chan os.Signal) {
	var deadline <-chan time.Time
	stopping := false
	for {
		select {
		case c, open := <-commands:
			if !open {
				return
			}
			if c.Do == doStop {
				stopping = true
				deadline = time.After(time.Duration(c.Grace))
				s.signalAll(unix.SIGTERM)
			}
			s.obey(c)
		case <-ended:
			reap(s.reaped)
		case <-told:
			return
		case <-deadline:
			return
		}
		if stopping && len(s.children) == 0 {
			return
		}
	}
}

func (s *supervisor) obey(c command) {
	switch c.Do {
	case doOwn:
		// Made here and not by the harness: there is no instant in which nobody would remove it.
		if err := os.Mkdir(c.Private, 0o700); err != nil {
			s.report(event{Event: eventRefused, Reason: err.Error()})
			return
		}
		s.private = c.Private
		s.report(event{Event: eventOwned})
	case doStart:
		pid, err := s.start(c)
		if err != nil {
			s.report(event{Event: eventRefused, ID: c.ID, Reason: err.Error()})
			return
		}
		s.report(event{Event: eventStarted, ID: c.ID, PID: pid})
	case doSignal:
		// The child cannot have been reaped behind our back, so the PID is still its own.
		if pid, runs := s.children[c.ID]; runs {
			_ = unix.Kill(pid, unix.Signal(c.Signal))
		}
	case doFamily:
		if pid, runs := s.children[c.ID]; runs {
			signalFamily(pid, unix.Signal(c.Signal))
		}
	}
}

// start forks and executes one process: output to its log, nothing on stdin, no file of the harness open, killed when this thread
// ends. It is syscall.ForkExec and not os/exec because wait4 for any child (reap) would take os/exec's children from it.
func (s *supervisor) start(c command) (pid int, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, fmt.Errorf("opening the input of %s: %w", c.ID, err)
	}
	defer null.Close()
	log, err := appendTo(c.Log)
	if err != nil {
		return 0, fmt.Errorf("opening the log of %s: %w", c.ID, err)
	}
	defer log.Close()
	out, err := appendTo(cmp.Or(c.Out, c.Log))
	if err != nil {
		return 0, fmt.Errorf("opening the output of %s: %w", c.ID, err)
	}
	defer out.Close()
	restore, err := place(c.CPUs)
	if err != nil {
		return 0, fmt.Errorf("placing %s on CPUs %v: %w", c.ID, c.CPUs, err)
	}
	defer restore()
	pid, err = syscall.ForkExec(c.Path, append([]string{c.Path}, c.Args...), &syscall.ProcAttr{
		Dir: c.Dir, Env: c.Env, Files: []uintptr{null.Fd(), out.Fd(), log.Fd()},
		Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, fmt.Errorf("starting %s (%s): %w", c.ID, c.Path, err)
	}
	s.children[c.ID], s.names[pid] = pid, c.ID
	return pid, nil
}

func appendTo(file string) (*os.File, error) {
	return os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
}

// reaped is told of every child that ended, adopted ones included.
func (s *supervisor) reaped(pid int, status unix.WaitStatus) {
	id, ours := s.names[pid]
	if !ours {
		return
	}
	delete(s.names, pid)
	delete(s.children, id)
	s.report(event{Event: eventExited, ID: id, PID: pid, Reason: describe(status)})
}

func (s *supervisor) signalAll(sig unix.Signal) {
	for _, pid := range s.children {
		_ = unix.Kill(pid, sig)
	}
}

func (s *supervisor) cleanUp() {
	if s.private == "" {
		return
	}
	if err := os.RemoveAll(s.private); err != nil {
		fmt.Fprintln(os.Stderr, "supervise: removing the private directory:", err)
	}
}

// report may fail where the harness is gone; the end of stdin says so too, and is acted upon.
func (s *supervisor) report(e event) { _ = s.events.send(e) }

func describe(status unix.WaitStatus) string {
	switch {
	case status.Exited():
		return fmt.Sprintf("exit status %d", status.ExitStatus())
	case status.Signaled():
		return fmt.Sprintf("killed by signal %d (%v)", status.Signal(), status.Signal())
	default:
		return fmt.Sprintf("wait status %#x", uint32(status))
	}
}
