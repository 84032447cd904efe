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
	"slices"
	"strconv"
	"strings"
	"time"
)

// Surroundings says what CollectEnvironment is to look at.
type Surroundings struct {
	Binaries  []string            // paths of the programs that take part
	Tools     map[string][]string // command line that prints a version, by the tool's name: {"nginx": {"nginx", "-v"}}
	Source    string              // a directory of the git work tree; "" for none
	Placement string              // shared, or which CPUs went to whom
	Root      fs.FS               // where proc and sys are; nil: the machine's own
}

// toolTimeout bounds one question to a tool or to git.
const toolTimeout = 10 * time.Second

// CollectEnvironment describes the machine and the tools. A binary that cannot be read is an error, because a run must know what it
// ran; everything else that cannot be found out is left empty with a warning.
func CollectEnvironment(ctx context.Context, s Surroundings) (Environment, error) {
	if s.Root == nil {
		s.Root = os.DirFS("/")
	}
	e := Environment{Schema: Schema, OS: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(), Placement: s.Placement}
	warn := func(format string, args ...any) { e.Warnings = append(e.Warnings, fmt.Sprintf(format, args...)) }
	var err error
	if e.Host, err = os.Hostname(); err != nil {
		warn("the host's name is not known: %v", err)
	}
	if e.Kernel = firstLine(s.Root, "proc/sys/kernel/osrelease"); e.Kernel == "" {
		warn("the kernel's version is not known")
	}
	if e.CPU = cpuModel(s.Root); e.CPU == "" {
		warn("the model of the CPU is not known")
	}
	if e.Memory = memory(s.Root); e.Memory == 0 {
		warn("the size of the memory is not known")
	}
	e.Governor = governors(s.Root)
	if e.Governor != "" && e.Governor != "performance" {
		warn("the CPU frequency governor is %s: the clock changes with the load; performance is steadier", e.Governor)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Tools)) {
		version, err := toolVersion(ctx, s.Tools[name])
		if err != nil {
			warn("the version of %s is not known: %v", name, err)
			continue
		}
		if e.Tools == nil {
			e.Tools = map[string]string{}
		}
		e.Tools[name] = version
	}
	for _, path := range s.Binaries {
		b, err := BinaryHash(path)
		if err != nil {
			return e, err
		}
		e.Binaries = append(e.Binaries, b)
	}
	if s.Source != "" {
		if e.Commit, e.Dirty, err = commit(ctx, s.Source); err != nil {
			warn("the git commit is not known: %v", err)
		}
	}
	e.Machine = fingerprint(&e)
	return e, nil
}

// BinaryHash names a program by its file name and the SHA-256 of its bytes.
func BinaryHash(path string) (Binary, error) {
	f, err := os.Open(path)
	if err != nil {
		return Binary{}, fmt.Errorf("hashing a binary: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return Binary{}, fmt.Errorf("hashing %s: %w", path, err)
	}
	return Binary{Name: filepath.Base(path), SHA256: hex.EncodeToString(h.Sum(nil))}, nil
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

func toolVersion(ctx context.Context, command []string) (string, error) {
	if len(command) == 0 {
		return "", fmt.Errorf("no command given")
	}
	ctx, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	// Both streams, because some tools, nginx among them, print their version on stderr.
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(line), nil
}

// commit asks git for the commit of a work tree and whether anything in it differs from that commit.
func commit(ctx context.Context, dir string) (hash string, dirty bool, err error) {
	git := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, toolTimeout)
		defer cancel()
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...).Output()
		if err != nil {
			return "", fmt.Errorf("git %s: %w", args[0], err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	if hash, err = git("rev-parse", "HEAD"); err != nil {
		return "", false, err
	}
	status, err := git("status", "--porcelain")
	return hash, status != "", err
}
