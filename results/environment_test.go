package results

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestCollect(t *testing.T) {
	root := fstest.MapFS{
		"proc/sys/kernel/osrelease": file("6.1.0-9-amd64\n"),
		"proc/cpuinfo":              file("processor\t: 0\nmodel name\t: A Processor @ 2.4GHz\nprocessor\t: 1\nmodel name\t: B\n"),
		"proc/meminfo":              file("MemTotal:       1024 kB\nMemFree: 1 kB\n"),
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_governor":  file("powersave\n"),
		"sys/devices/system/cpu/cpu1/cpufreq/scaling_governor":  file("performance\n"),
		"sys/devices/system/cpu/cpufreq/policy0/scaling_max":    file("1\n"),
		"sys/devices/system/cpu/cpu10/cpufreq/scaling_governor": file("powersave\n"),
	}
	e, err := collect(root, map[string]string{"nginx": "1.22.1"})
	require.NoError(t, err)
	require.Equal(t, "6.1.0-9-amd64", e.Kernel)
	require.Equal(t, "A Processor @ 2.4GHz", e.CPU)
	require.Equal(t, int64(1<<20), e.Memory)
	require.Equal(t, "performance, powersave", e.Governor)
	require.Equal(t, "1.22.1", e.Tools["nginx"])
	require.Contains(t, e.Warnings, "the CPU frequency governor is performance, powersave: the clock changes with the load; performance is steadier")
	require.Len(t, e.Machine, 16)

	again, err := collect(root, nil)
	require.NoError(t, err)
	require.Equal(t, e.Machine, again.Machine)
	root["proc/meminfo"] = file("MemTotal: 2048 kB\n")
	other, err := collect(root, nil)
	require.NoError(t, err)
	require.NotEqual(t, e.Machine, other.Machine)
}

func TestCollectWithoutEvidenceWarns(t *testing.T) {
	e, err := collect(fstest.MapFS{"proc/meminfo": file("MemTotal: many kB\n")}, nil)
	require.NoError(t, err)
	require.Subset(t, e.Warnings, []string{"the kernel's version is not known", "the model of the CPU is not known", "the size of the memory is not known"})
}

func TestGitCommit(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) {
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "core.hooksPath=/dev/null"}, args...)...)
		out, err := c.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	_, _, err := gitCommit(dir)
	require.ErrorContains(t, err, "git rev-parse")
	require.NotContains(t, err.Error(), dir)
	git("init", "-q")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("1"), 0o644))
	git("add", "a")
	git("commit", "-q", "-m", "a")
	hash, dirty, err := gitCommit(dir)
	require.NoError(t, err)
	require.Len(t, hash, 40)
	require.False(t, dirty)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("2"), 0o644))
	_, dirty, err = gitCommit(dir)
	require.NoError(t, err)
	require.True(t, dirty)
}

func TestBinaryHash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway")
	require.NoError(t, os.WriteFile(path, []byte("abc"), 0o755))
	sum, err := BinaryHash(path)
	require.NoError(t, err)
	require.Equal(t, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", sum) // FIPS 180-2, B.1
	_, err = BinaryHash(path + "x")
	require.ErrorIs(t, err, os.ErrNotExist)
}
