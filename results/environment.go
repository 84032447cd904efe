package results

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
)

// gitTimeout bounds one question to git.
const gitTimeout = 10 * time.Second

// CollectEnvironment describes the machine this process runs on, the tools that take part (their versions by name, as the caller
// found them) and the commit this program was built from. Placement and binaries are the caller's to add. It fails where the
// machine cannot be told from another; everything else that cannot be found out is left empty with a warning.
func CollectEnvironment(tools map[string]string) (Environment, error) {
	return collect(os.DirFS("/"), tools)
}

func collect(root fs.FS, tools map[string]string) (Environment, error) {
	e := Environment{Schema: Schema, OS: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(), Tools: tools}
	warn := func(format string, args ...any) { e.Warnings = append(e.Warnings, fmt.Sprintf(format, args...)) }
	var err error
	if e.Host, err = os.Hostname(); err != nil {
		return e, fmt.Errorf("finding the host's name: %w", err)
	}
	if e.Kernel = firstLine(root, "proc/sys/kernel/osrelease"); e.Kernel == "" {
		warn("the kernel's version is not known")
	}
	if e.CPU = cpuModel(root); e.CPU == "" {
		warn("the model of the CPU is not known")
	}
	if e.Memory = memory(root); e.Memory == 0 {
		warn("the size of the memory is not known")
	}
	e.Governor = governors(root)
	if e.Governor != "" && e.Governor != "performance" {
		warn("the CPU frequency governor is %s: the clock changes with the load; performance is steadier", e.Governor)
	}
	if e.Commit, e.Dirty, err = commit(); err != nil {
		warn("the git commit is not known: %v", err)
	}
	e.Machine = fingerprint(&e)
	return e, nil
}

// BinaryHash is the SHA-256 of a file in hexadecimal.
func BinaryHash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("hashing a binary: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("hashing %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// fingerprint tells machines apart: numbers taken on two of them are not compared without a word. A new kernel or another amount
// of memory is another machine.
func fingerprint(e *Environment) string {
	return Hash(fmt.Appendf(nil, "%q %q %d %d %q %q", e.Host, e.CPU, e.CPUs, e.Memory, e.Kernel, e.OS))[:16]
}

func firstLine(root fs.FS, name string) string {
	data, err := fs.ReadFile(root, name)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

// cpuModel reads /proc/cpuinfo, whose key differs by architecture.
func cpuModel(root fs.FS) string {
	f, err := root.Open("proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		key, value, _ := strings.Cut(in.Text(), ":")
		switch strings.TrimSpace(key) {
		case "model name", "Model", "cpu model":
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func memory(root fs.FS) int64 {
	// MemTotal:       24689764 kB
	fields := strings.Fields(firstLine(root, "proc/meminfo"))
	if len(fields) < 2 || fields[0] != "MemTotal:" {
		return 0
	}
	kib, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return kib << 10
}

// governors lists the distinct frequency governors of all CPUs, "" where the kernel shows none (as in most virtual machines).
func governors(root fs.FS) string {
	files, err := fs.Glob(root, "sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
	if err != nil {
		return ""
	}
	seen := map[string]bool{}
	for _, f := range files {
		if g := firstLine(root, path.Clean(f)); g != "" {
			seen[g] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), ", ")
}

// commit is what this program was built from: as the go command stamped it, else as git says of the tree the program lies in.
func commit() (hash string, dirty bool, err error) {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				hash = s.Value
			case "vcs.modified":
				dirty = s.Value == "true"
			}
		}
	}
	if hash != "" {
		return hash, dirty, nil
	}
	program, err := os.Executable()
	if err != nil {
		return "", false, err
	}
	return gitCommit(filepath.Dir(program))
}

func gitCommit(dir string) (hash string, dirty bool, err error) {
	git := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), gitTimeout)
		defer cancel()
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).Output()
		if err != nil {
			return "", fmt.Errorf("git %s beside the programs: %w", args[0], err) // a record names no directory: it may be published
		}
		return strings.TrimSpace(string(out)), nil
	}
	if hash, err = git("rev-parse", "HEAD"); err != nil {
		return "", false, err
	}
	status, err := git("status", "--porcelain")
	return hash, status != "", err
}
