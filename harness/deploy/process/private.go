package process

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// markName is the environment variable that every process of a deployment inherits. Its value is the name of the deployment's
// private directory.
const markName = "CROSSROADS_DEPLOYMENT"

const privatePrefix = "crossroads-"

// namePrivate names the private directory of a deployment, for keys and tokens. The name says whose it is (PID namespace, PID and
// start time of the harness), so that it can be told from others' if nobody was left to remove it.
func namePrivate(temp string) (string, error) {
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", fmt.Errorf("naming the private directory: %w", err)
	}
	name := fmt.Sprintf("%s%s-%d-%d-%s", privatePrefix, pidNamespace(), os.Getpid(), startTime(os.Getpid()), hex.EncodeToString(random[:]))
	return filepath.Join(temp, name), nil
}

// pidNamespace is the number of our PID namespace: a directory may be shared with a container whose PIDs mean other processes.
func pidNamespace() string {
	link, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return "0"
	}
	return strings.TrimSuffix(strings.TrimPrefix(link, "pid:["), "]")
}

// abandoned says whether a private directory's harness is no more. A name that is not understood, or of another PID namespace, is
// somebody else's.
func abandoned(name string) bool {
	parts := strings.Split(strings.TrimPrefix(name, privatePrefix), "-")
	if !strings.HasPrefix(name, privatePrefix) || len(parts) != 4 || parts[0] != pidNamespace() {
		return false
	}
	pid, badPID := strconv.Atoi(parts[1])
	started, badStart := strconv.ParseUint(parts[2], 10, 64)
	return badPID == nil && badStart == nil && startTime(pid) != started
}

// Sweep removes what deployments left in the directory temp whose harness and supervisor were both killed: processes that still
// carry the mark, and private directories. It returns what it removed. New calls it, so that every start cleans up.
func Sweep(temp string) (removed []string, err error) {
	entries, err := os.ReadDir(temp)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for leftovers: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || !abandoned(e.Name()) {
			continue
		}
		dir := filepath.Join(temp, e.Name())
		if info, statErr := os.Lstat(dir); statErr != nil || !mine(info) {
			continue
		}
		failed := errors.Join(killMarked(e.Name()), os.RemoveAll(dir))
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("removing a leftover: %w", failed))
			continue
		}
		removed = append(removed, dir)
	}
	return removed, err
}

// mine says whether a file belongs to this user; in a shared temporary directory others' are not touched.
func mine(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}

// killMarked kills every process that carries the mark, until twice in a row there was none: a process that forks and ends while the
// list is being read can hide its child once. It is the second line, for when the supervisor itself was killed.
func killMarked(mark string) error {
	var left []int
	empty := 0
	for deadline := time.Now().Add(forceTime); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		left = nil
		for _, pid := range allPIDs() {
			if marked(pid, mark) {
				left = append(left, pid)
				killIfMarked(pid, mark)
			}
		}
		if len(left) > 0 {
			empty = 0
		} else if empty++; empty == 2 {
			return nil
		}
	}
	return fmt.Errorf("processes %v of deployment %s did not end within %v of SIGKILL", left, mark, forceTime)
}

// killIfMarked holds the process by a pidfd and looks again, so that no other process can take its PID in between.
func killIfMarked(pid int, mark string) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if marked(pid, mark) {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}

// marked looks at the environment a process was started with. nginx writes its titles over that; a process without one is known by the
// directory it was started in. A shell in which somebody looks around there has an environment of its own, and is spared.
func marked(pid int, mark string) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	environment, err := os.ReadFile(filepath.Join(proc, "environ"))
	if err != nil {
		return false
	}
	for _, entry := range bytes.Split(environment, []byte{0}) {
		if string(entry) == markName+"="+mark {
			return true
		}
	}
	dir, err := os.Readlink(filepath.Join(proc, "cwd"))
	return err == nil && !bytes.ContainsRune(environment, '=') && filepath.Base(strings.TrimSuffix(dir, " (deleted)")) == mark
}
