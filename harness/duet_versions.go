package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Version is one version of a program.
type Version struct {
	Path string // of the binary
	Text string // where it comes from, for people
}

// NoVersion says that what was named is neither a program nor a commit that can be built.
type NoVersion struct {
	Name, Why string
}

func (e *NoVersion) Error() string { return fmt.Sprintf("there is no version %q: %s", e.Name, e.Why) }

// Builder makes versions of a program from the repository that holds a directory.
type Builder struct {
	Dir  string   // anywhere in the repository
	Out  string   // directory that takes the binaries
	Tags []string // of the build
}

// Baseline finds a version by name: a binary, or a commit of the repository (a branch, a tag, a hash, HEAD~1). Every error that
// means "there is no such thing" is a *NoVersion.
func (b Builder) Baseline(ctx context.Context, program, name string) (Version, error) {
	if name == "" {
		return Version{}, &NoVersion{name, "nothing was named"}
	}
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		return takeBinary(name, info)
	}
	commit, err := b.git(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", name+"^{commit}")
	if ctx.Err() != nil {
		return Version{}, ctx.Err()
	}
	if err != nil {
		return Version{}, &NoVersion{name, "it is no program, and no commit of the repository here"}
	}
	version, err := b.buildCommit(ctx, program, commit)
	if ctx.Err() != nil {
		return Version{}, ctx.Err()
	}
	if err != nil {
		return Version{}, &NoVersion{name, err.Error()}
	}
	version.Text = fmt.Sprintf("%s (commit %.12s)", name, commit)
	return version, nil
}

// Binary takes a program as it is.
func Binary(path string) (Version, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Version{}, fmt.Errorf("no program %s: %w", path, err)
	}
	return takeBinary(path, info)
}

func takeBinary(path string, info os.FileInfo) (Version, error) {
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return Version{}, &NoVersion{path, "it is a file and cannot be executed"}
	}
	absolute, err := filepath.Abs(path)
	return Version{Path: absolute, Text: path}, err
}

// Tree builds the program from the files as they are in the module here now. That need not be a repository.
func (b Builder) Tree(ctx context.Context, program string) (Version, error) {
	c := exec.CommandContext(ctx, "go", "env", "GOMOD")
	c.Dir = b.Dir
	out, err := c.Output()
	module := strings.TrimSpace(string(out))
	if err != nil || filepath.Base(module) != "go.mod" {
		return Version{}, errors.Join(ctx.Err(), &NoVersion{"the working tree", "there is no Go module here"})
	}
	path, err := b.build(ctx, filepath.Dir(module), program, filepath.Join(b.Out, "candidate"))
	v := Version{Path: path, Text: "the working tree"}
	if commit, unknown := b.git(ctx, "rev-parse", "HEAD"); unknown == nil {
		v.Text += fmt.Sprintf(" (on commit %.12s)", commit)
	}
	return v, err
}

// buildCommit builds in a worktree of its own, so that the files here stay as they are. The worktree is gone afterwards.
func (b Builder) buildCommit(ctx context.Context, program, commit string) (v Version, err error) {
	parent, err := os.MkdirTemp("", "crossroads-baseline-")
	if err != nil {
		return v, fmt.Errorf("making room for the baseline: %w", err)
	}
	tree := filepath.Join(parent, "tree")
	defer func() {
		cleaning, cancel := context.WithTimeout(context.Background(), closeTimeout) // an interrupted gate cleans up too
		defer cancel()
		_, gone := b.git(cleaning, "worktree", "remove", "--force", tree)
		if _, there := os.Stat(tree); os.IsNotExist(there) {
			gone = nil
		}
		err = errors.Join(err, gone, os.RemoveAll(parent))
	}()
	if _, err := b.git(ctx, "worktree", "add", "--detach", tree, commit); err != nil {
		return v, err
	}
	v.Path, err = b.build(ctx, tree, program, filepath.Join(b.Out, "baseline"))
	return v, err
}

// build makes a program with the flags of the Makefile, but without the stamp of the commit: equal sources give equal binaries.
func (b Builder) build(ctx context.Context, root, program, out string) (string, error) {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", fmt.Errorf("making room for the %s: %w", program, err)
	}
	path := filepath.Join(out, program)
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", strings.Join(b.Tags, ","), "-o", path, "./proxies/cmd/"+program)
	c.Dir = root
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the %s: %w: %s", program, err, lastLines(out))
	}
	return path, nil
}

func (b Builder) git(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "git", append([]string{"-C", b.Dir}, args...)...)
	c.WaitDelay = time.Second
	var complaint bytes.Buffer
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, lastLines(complaint.Bytes()))
	}
	return strings.TrimSpace(string(out)), nil
}

// lastLines is the end of what a tool printed, on one line.
func lastLines(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " / ")
}
