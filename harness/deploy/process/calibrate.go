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
	if d.calibration, err = keep(file, measured); err != nil {
		return fmt.Errorf("keeping the workload's calibration: %w", err)
	}
	return nil
}

// keep puts a text into a file that is there whole or not at all, and returns what stands in it: several deployers may use a directory,
// and all go on with what the first of them measured.
func keep(file, text string) (string, error) {
	whole, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.new")
	if err != nil {
		return "", err
	}
	defer os.Remove(whole.Name())
	_, err = whole.WriteString(text + "\n")
	if err = errors.Join(err, whole.Close(), os.Chmod(whole.Name(), 0o644)); err != nil {
		return "", err
	}
	if err := os.Link(whole.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	kept, err := os.ReadFile(file)
	return strings.TrimSpace(string(kept)), err
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
