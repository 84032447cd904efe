package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"crossroads/harness/deploy"
)

// calibrate has the workload measure, once, how fast it burns CPU, so that a declared microsecond is the same number of instructions
// in every process of every arm. The figure is kept among the logs: a run that is resumed goes on with it.
func (d *Deployer) calibrate(ctx context.Context) error {
	d.calibrating.Lock()
	defer d.calibrating.Unlock()
	if d.calibration != "" {
		return nil
	}
	file := filepath.Join(d.config.Dir, "calibration")
	kept, err := os.ReadFile(file)
	if err == nil {
		d.calibration = strings.TrimSpace(string(kept))
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the workload's calibration: %w", err)
	}
	measured, err := d.measure(ctx)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.config.Dir, 0o755); err != nil {
		return fmt.Errorf("making the directory for logs: %w", err)
	}
	// By rename: a harness killed halfway must not leave half a number.
	if err := os.WriteFile(file+".new", []byte(measured+"\n"), 0o644); err != nil {
		return fmt.Errorf("keeping the workload's calibration: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("keeping the workload's calibration: %w", err)
	}
	d.calibration = measured
	return nil
}

func (d *Deployer) measure(ctx context.Context) (string, error) {
	var said bytes.Buffer
	runtime.LockOSThread() // the parent-death signal follows the thread
	defer runtime.UnlockOSThread()
	command := exec.CommandContext(ctx, d.config.Binaries[deploy.KindWorkload], "calibrate")
	command.Env, command.Stderr = []string{}, &said
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("calibrating the workload: %w: %s", err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
