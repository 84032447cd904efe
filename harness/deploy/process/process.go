// Package process is the default deployer: every node of an arm is a process of this machine, on free loopback ports, under a small
// supervisor.
//
// Its one invariant: the processes of a deployment never outlive the harness. The supervisor holds a pipe to it, and the end of that
// pipe, by Close or by kill -9, kills every descendant, daemons included. It renders the proxies' files from the declaration and
// judges nothing that the processes say beyond ready or not.
package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"crossroads/harness/deploy"
	"crossroads/topologies"
)

// Config is what a Deployer needs to know.
type Config struct {
	Binaries     map[string]string        // program by kind of process, and "crossroads", which is the supervisor's
	Dir          string                   // takes a directory of logs and rendered files for each deployment
	Temp         string                   // where private directories stand; "": the system's
	ReadyTimeout time.Duration            // for a whole deployment; 0: 15 s
	Grace        time.Duration            // between SIGTERM and SIGKILL on Close; 0: 250 ms
	Rivals       map[string]RivalRenderer // by the name after `use:`
}

// Defaults of Config.
const (
	defaultReadyTimeout = 15 * time.Second
	defaultGrace        = 250 * time.Millisecond
)

// attempts bounds how often an arm is started anew because somebody took one of its ports in between.
const attempts = 5

// Deployer deploys arms as processes. It may be used from several goroutines, for arms that run at the same time.
type Deployer struct {
	config Config
	ports  *ports
	next   atomic.Int64 // number of the next log directory

	calibrating sync.Mutex
	calibration string // of the workload; see calibrated
}

// New checks the programs and removes what deployments of harnesses that were killed left behind.
func New(c Config) (*Deployer, error) {
	if c.Temp == "" {
		c.Temp = os.TempDir()
	}
	if c.ReadyTimeout == 0 {
		c.ReadyTimeout = defaultReadyTimeout
	}
	if c.Grace == 0 {
		c.Grace = defaultGrace
	}
	if c.Binaries["crossroads"] == "" {
		return nil, errors.New("deploying processes: no program named for the supervisor (crossroads)")
	}
	// Absolute, for the processes start in another directory.
	for _, dir := range []*string{&c.Dir, &c.Temp} {
		absolute, err := filepath.Abs(*dir)
		if err != nil {
			return nil, fmt.Errorf("finding the directory %s: %w", *dir, err)
		}
		*dir = absolute
	}
	if _, err := Sweep(c.Temp); err != nil {
		return nil, err
	}
	return &Deployer{config: c, ports: newPorts()}, nil
}

// Deploy starts an arm and waits until every process is ready.
func (d *Deployer) Deploy(ctx context.Context, arm *topologies.Arm) (deploy.Deployment, error) {
	if arm.Topology.External != nil {
		return newExternal(arm), nil
	}
	if err := checkPlacement(arm.Experiment.Placement); err != nil {
		return nil, fmt.Errorf("deploying %s: %w", arm.Name, err)
	}
	if err := d.calibrate(ctx); err != nil {
		return nil, fmt.Errorf("deploying %s: %w", arm.Name, err)
	}
	for try := 1; ; try++ {
		running, err := d.deploy(ctx, arm)
		if err == nil {
			return running, nil
		}
		var notReady *deploy.NotReady
		taken := errors.As(err, &notReady) && saysPortTaken(notReady.Log)
		if !taken || try == attempts || ctx.Err() != nil {
			return nil, err
		}
	}
}

// deploy is one attempt. Where it fails nothing is left of it.
func (d *Deployer) deploy(ctx context.Context, arm *topologies.Arm) (*deployment, error) {
	logs, err := d.logDir(arm.Name)
	if err != nil {
		return nil, err
	}
	private, err := namePrivate(d.config.Temp)
	if err != nil {
		return nil, err
	}
	l, err := newLayout(arm, d.ports, private, logs)
	if err != nil {
		return nil, err
	}
	r := newDeployment(d, l)
	if err := r.bringUp(ctx); err != nil {
		gone, cancel := context.WithCancel(context.Background())
		cancel() // nothing here is worth a polite end
		return nil, errors.Join(err, r.Close(gone))
	}
	return r, nil
}

// logDir makes a directory for one deployment. Its number keeps it apart from those of the same arm, of earlier rounds and of a run
// that is resumed.
func (d *Deployer) logDir(arm string) (string, error) {
	if err := os.MkdirAll(d.config.Dir, 0o755); err != nil {
		return "", fmt.Errorf("making the directory for logs: %w", err)
	}
	for {
		dir := filepath.Join(d.config.Dir, fmt.Sprintf("%03d-%s", d.next.Add(1), fileName(arm)))
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("making the directory for logs: %w", err)
		}
	}
}

// fileName keeps what is harmless in a name of a file.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+-_.", r) {
			return r
		}
		return '_'
	}, name)
}
