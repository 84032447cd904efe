package rivals

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"crossroads/harness/deploy/process"
)

// Found is a rival whose program is on this machine. It implements process.RivalRenderer.
type Found struct {
	Rival
	Path    string
	Version string // such as 1.22.1

	facts
}

// facts are what a program's answer about its version says of how it has to be configured.
type facts struct {
	Uncounted bool // it was built without what shows what it counts
	LeavesVia bool // it appends to Via by itself
}

// beyondPath are directories that a user's PATH often lacks and where packages put servers.
var beyondPath = []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}

// versionTimeout bounds the one question to a program.
const versionTimeout = 5 * time.Second

// Dir names the environment variable of the directory in which programs are looked for first; where it is not set, that is the folder
// rivals beside the running program, which `make rivals` fills.
const Dir = "CROSSROADS_RIVALS"

// Find looks for the program in the project's own directory, on PATH and where packages put servers, and asks it for its version.
func (r Rival) Find() (Found, error) {
	path, err := r.look()
	if err != nil {
		return Found{}, err
	}
	version, said, err := r.ask(path)
	if err != nil {
		return Found{}, err
	}
	return Found{Rival: r, Path: path, Version: version, facts: facts{Uncounted: !strings.Contains(said, r.counter), LeavesVia: r.leavesVia != nil && r.leavesVia(version)}}, nil
}

func (r Rival) look() (string, error) {
	var script string
	for _, dir := range slices.Concat(projectDirs(), filepath.SplitList(os.Getenv("PATH")), beyondPath) {
		path, err := exec.LookPath(filepath.Join(dir, r.Name))
		if err != nil {
			continue
		}
		// Absolute, and past links: it is started in another directory, and its hash is recorded.
		if path, err = filepath.EvalSymlinks(path); err != nil {
			continue
		}
		if path, err = filepath.Abs(path); err != nil {
			continue
		}
		if !isScript(path) {
			return path, nil
		}
		script = path
	}
	if script != "" {
		return "", fmt.Errorf("%s is a script that starts %s: what is measured must be the program itself", script, r.Name)
	}
	return "", fmt.Errorf("the program %s is not installed: it is neither on PATH nor in %s", r.Name, strings.Join(beyondPath, ", "))
}

// projectDirs is where `make rivals` puts programs.
func projectDirs() []string {
	if dir := os.Getenv(Dir); dir != "" {
		return []string{dir}
	}
	self, err := os.Executable()
	if err != nil {
		return nil
	}
	return []string{filepath.Join(filepath.Dir(self), "rivals")}
}

// isScript says whether an interpreter would run instead of the program, and be measured with it or instead of it.
func isScript(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var head [2]byte
	_, err = io.ReadFull(f, head[:])
	return err == nil && string(head[:]) == "#!"
}

func (r Rival) ask(path string) (version, answer string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), versionTimeout)
	defer cancel()
	// nginx answers on stderr, the others on stdout.
	said, err := exec.CommandContext(ctx, path, r.version...).CombinedOutput()
	if err != nil {
		return "", "", fmt.Errorf("asking %s for its version: %w", path, err)
	}
	if version := r.VersionIn(said); version != "" {
		return version, string(said), nil
	}
	return "", "", fmt.Errorf("%s does not say its version: %q", path, said)
}

// VersionIn finds the version in what the program says of itself; "" where it is not there.
func (r Rival) VersionIn(said []byte) string {
	if found := regexp.MustCompile(r.says).FindSubmatch(said); found != nil {
		return string(found[1])
	}
	return ""
}

// Render implements process.RivalRenderer.
func (f Found) Render(s process.RivalSpec) (process.RivalProgram, error) {
	if no := f.refuses(&s.Gateway); no != nil {
		return process.RivalProgram{}, fmt.Errorf("%s cannot do %s: %s", f.Name, no.what(), no.reason)
	}
	p, err := newPlan(s)
	if err != nil {
		return process.RivalProgram{}, err
	}
	p.facts = f.facts
	program, err := f.render(p)
	program.Path = f.Path
	return program, err
}
