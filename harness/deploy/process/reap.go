package process

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// reap collects every child that has ended, without waiting, and says whether any child is left.
func reap(ended func(pid int, status unix.WaitStatus)) (left bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil: // ECHILD: there is none
			return false
		case pid == 0:
			return true
		}
		ended(pid, status)
	}
}

// killChildren kills until no descendant is left. Only direct children are signalled: their PIDs cannot be given to others before
// we have reaped them. As we are a subreaper, the children of a killed child are ours in the next turn, so that every descendant is
// reached, and no child left means no descendant left.
func killChildren(ended func(pid int, status unix.WaitStatus)) {
	for reap(ended) {
		for _, pid := range childrenOf(os.Getpid()) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(time.Millisecond)
	}
}

// signalFamily signals a child and its descendants: a master that is killed alone leaves its workers serving. The child is stopped
// while the others are looked for, so that it forks none meanwhile. What left the family before, as daemons do, is not reached.
func signalFamily(pid int, sig unix.Signal) {
	_ = unix.Kill(pid, unix.SIGSTOP)
	family := []int{pid}
	for i := 0; i < len(family); i++ {
		family = append(family, childrenOf(family[i])...)
	}
	for _, member := range family {
		_ = unix.Kill(member, sig)
	}
	if sig != unix.SIGSTOP && sig != unix.SIGKILL {
		_ = unix.Kill(pid, unix.SIGCONT)
	}
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(pid int) []int {
	var children []int
	for _, candidate := range allPIDs() {
		if parent, alive := parentOf(candidate); alive && parent == pid {
			children = append(children, candidate)
		}
	}
	return children
}

func allPIDs() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// parentOf reads the parent of a process; alive is false where there is no such process any more.
func parentOf(pid int) (parent int, alive bool) {
	fields := statFields(pid)
	if len(fields) < 2 {
		return 0, false
	}
	parent, err := strconv.Atoi(string(fields[1]))
	return parent, err == nil
}

// startTime is when a process started, in clock ticks since boot: with the PID it names a process for good. 0: no such process.
func startTime(pid int) uint64 {
	fields := statFields(pid)
	if len(fields) < 20 {
		return 0
	}
	ticks, _ := strconv.ParseUint(string(fields[19]), 10, 64)
	return ticks
}

// statFields are the fields of /proc/PID/stat from the third (state) on; the second may hold blanks and parentheses.
func statFields(pid int) [][]byte {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return nil
	}
	return bytes.Fields(stat[end+1:])
}
