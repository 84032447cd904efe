package crossroads_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Documents show commands in fenced blocks of sh. A block whose info string is `sh test` is executed: all such blocks of a section
// (down to the next heading of level 1 or 2) are one script, run by bash with -eu in a scratch copy of the repository that has the
// programs in bin/, so that a later block finds what an earlier one started in the background. `sh test timeout=2m` allows more
// time than a minute. What a script leaves running is ended with it. Scripts use the ports that documents name: each has a loopback of
// its own where the system allows one, and elsewhere a port that somebody holds is named. Every other block of sh must at least name commands, targets
// and flags that exist; see commands_test.go.

// shown is one fenced block of shell commands.
type shown struct {
	document string
	line     int    // of its first command, from 1
	section  string // heading
	text     string
	test     bool
	timeout  time.Duration
}

const timeoutOfBlock = time.Minute

// blocksOf returns the shell blocks of a document.
func blocksOf(document, text string) ([]shown, error) {
	var all []shown
	var open *shown
	fence, section := "", ""
	for n, line := range strings.Split(text, "\n") {
		switch {
		case fence != "" && strings.TrimSpace(line) == fence:
			if open != nil {
				all = append(all, *open)
			}
			fence, open = "", nil
		case fence != "":
			if open != nil {
				open.text += line + "\n"
			}
		case strings.HasPrefix(line, "```"):
			fence = "```"
			s, err := opening(strings.Fields(strings.TrimPrefix(line, fence)))
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", document, n+1, err)
			}
			if s != nil {
				s.document, s.line, s.section = document, n+2, section
				open = s
			}
		case strings.HasPrefix(line, "# "), strings.HasPrefix(line, "## "):
			section = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	if fence != "" {
		return nil, fmt.Errorf("%s: a fenced block does not end", document)
	}
	return all, nil
}

// opening reads an info string; nil for what is not a shell.
func opening(info []string) (*shown, error) {
	if len(info) == 0 {
		return nil, nil
	}
	switch info[0] {
	case "bash", "shell", "console":
		return nil, fmt.Errorf("write ```sh, not ```%s, so that the commands are tested", info[0])
	case "sh":
	default:
		return nil, nil
	}
	s := &shown{timeout: timeoutOfBlock}
	for _, word := range info[1:] {
		limit, timed := strings.CutPrefix(word, "timeout=")
		switch {
		case word == "test":
			s.test = true
		case timed:
			d, err := time.ParseDuration(limit)
			if err != nil {
				return nil, err
			}
			s.timeout = d
		default:
			return nil, fmt.Errorf("a block of sh takes test and timeout=, not %q", word)
		}
	}
	return s, nil
}

// documents returns the shell blocks of every Markdown file.
func documents(t *testing.T) []shown {
	t.Helper()
	var all []shown
	walk(t, func(path string) {
		if filepath.Ext(path) != ".md" {
			return
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		blocks, err := blocksOf(path, string(text))
		require.NoError(t, err)
		all = append(all, blocks...)
	})
	return all
}

// script is the executed blocks of one section.
type script struct {
	name    string
	text    string
	timeout time.Duration
}

func scripts(blocks []shown) []script {
	var all []script
	for _, b := range blocks {
		if !b.test {
			continue
		}
		name := b.document + ": " + b.section
		if n := len(all); n == 0 || all[n-1].name != name {
			all = append(all, script{name: name})
		}
		s := &all[len(all)-1]
		s.text += b.text
		s.timeout += b.timeout
	}
	return all
}

// TestDocumentation holds every document against the programs as they are now.
func TestDocumentation(t *testing.T) {
	blocks := documents(t)
	all := scripts(blocks)
	require.True(t, slices.ContainsFunc(all, func(s script) bool { return strings.HasPrefix(s.name, "README.md: ") }),
		"README.md shows no command that is tested")
	dir := scratch(t)
	makefile, err := os.ReadFile("Makefile")
	require.NoError(t, err)
	p := &programs{bin: filepath.Join(dir, "bin"), targets: targetsOf(string(makefile)), help: map[string]string{}}
	for _, b := range blocks {
		for _, command := range commandsOf(b.text) {
			if wrong := p.check(command); wrong != "" {
				t.Errorf("%s, block of line %d: %s", b.document, b.line, wrong)
			}
		}
	}
	alone := loopback()
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			s.requireTools(t)
			if alone == nil {
				require.Empty(t, s.taken(), "ports that the document uses are held by others: end those, or run this as root with unshare and ip")
			}
			out, err := s.run(dir, alone...)
			require.NoError(t, err, "%s", out)
		})
	}
}

// requireTools skips a script on a machine without the tools of its reader, curl and bash; where CI is set that is a failure.
func (s script) requireTools(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err == nil || tool == "curl" && !strings.Contains(s.text, "curl") {
			continue
		}
		require.Empty(t, os.Getenv("CI"), "%s is not installed: documents cannot be executed", tool)
		t.Skipf("%s is not installed", tool)
	}
}

// loopback is the command that gives another one a network of its own with nothing but a loopback; nil: that is not allowed here.
func loopback() []string {
	command := []string{"unshare", "--net", "--", "sh", "-c", `ip link set lo up && exec "$@"`, "sh"}
	if exec.Command(command[0], append(command[1:], "true")...).Run() != nil {
		return nil
	}
	return command
}

var portOfText = regexp.MustCompile(`127\.0\.0\.1:(\d+)`)

// taken lists the addresses that the script names and somebody listens on.
func (s script) taken() (held []string) {
	for _, address := range portOfText.FindAllString(s.text, -1) {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil && !slices.Contains(held, address) {
			held = append(held, address)
			c.Close()
		}
	}
	return held
}

// run executes the script in a process group of its own, behind the words of another command, and ends the group with it. The output
// goes through a file, because a process left in the background would keep a pipe open.
func (s script) run(dir string, behind ...string) (output string, err error) {
	file, err := os.CreateTemp("", "shown")
	if err != nil {
		return "", err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	words := append(slices.Clone(behind), "bash", "-eux", "-o", "pipefail", "-c", s.text)
	c := exec.Command(words[0], words[1:]...)
	c.Dir, c.Stdout, c.Stderr = dir, file, file
	c.Env = append(os.Environ(), "NO_COLOR=1", "PS4=$ ")
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err = <-ended:
	case <-time.After(s.timeout):
		err = fmt.Errorf("not done after %v", s.timeout)
	}
	err = errors.Join(err, endGroup(c.Process.Pid))
	text, readErr := os.ReadFile(file.Name())
	return string(text), errors.Join(err, readErr)
}

// endGroup ends every process of a group: asks first, and insists after ten seconds.
func endGroup(group int) error {
	for try := range 200 {
		signal := syscall.Signal(0)
		switch try {
		case 0:
			signal = syscall.SIGTERM
		case 100:
			signal = syscall.SIGKILL
		}
		switch err := syscall.Kill(-group, signal); {
		case errors.Is(err, syscall.ESRCH):
			return nil
		case err != nil:
			return fmt.Errorf("ending what the script left: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("what the script left running does not end")
}

// scratch is a copy of the repository with the programs built into bin/.
func scratch(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		slash := filepath.ToSlash(path)
		if d.IsDir() {
			if slash == ".git" || slash == "bin" || slash == "results/runs" || slash == "reports/html" {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(dir, path), 0o755)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, path), data, info.Mode().Perm())
	})
	require.NoError(t, err)
	// As the Makefile builds them, so that the two share the build cache.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
	c := exec.Command("go", "build", "-trimpath", "-o", "bin/", "./proxies/cmd/...", "./harness/cmd/...")
	c.Dir = dir
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := c.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return dir
}

func TestBlocksOfADocument(t *testing.T) {
	text := "# Top\n\n```sh test\necho one\n```\n\n```yaml\nsh: no\n```\n## Next\n```sh\necho shown\n```\n### Deeper\n" +
		"```sh test timeout=2m\necho two\n```\n```sh test\necho three\n```\n"
	blocks, err := blocksOf("A.md", text)
	require.NoError(t, err)
	require.Equal(t, []shown{
		{"A.md", 4, "Top", "echo one\n", true, time.Minute},
		{"A.md", 12, "Next", "echo shown\n", false, time.Minute},
		{"A.md", 16, "Next", "echo two\n", true, 2 * time.Minute},
		{"A.md", 19, "Next", "echo three\n", true, time.Minute},
	}, blocks)
	require.Equal(t, []script{
		{"A.md: Top", "echo one\n", time.Minute},
		{"A.md: Next", "echo two\necho three\n", 3 * time.Minute},
	}, scripts(blocks))
	for _, bad := range []string{"```bash\n```\n", "```sh tested\n```\n", "```sh test timeout=soon\n```\n", "```sh\necho\n"} {
		_, err := blocksOf("A.md", bad)
		require.Error(t, err, bad)
	}
}

func TestScriptsAreRunToTheirEnd(t *testing.T) {
	dir := t.TempDir()
	out, err := script{text: "a=1\necho one > made\ntest $a = 1\n", timeout: time.Minute}.run(dir)
	require.NoError(t, err, out)
	made, err := os.ReadFile(filepath.Join(dir, "made"))
	require.NoError(t, err)
	require.Equal(t, "one\n", string(made))

	for name, bad := range map[string]string{
		"a command that fails":      "false\necho not reached\n",
		"a pipe that fails":         "false | true\n",
		"an unset variable":         "echo $nothing\n",
		"a command that is unknown": "no-such-command\n",
	} {
		out, err := script{text: bad, timeout: time.Minute}.run(dir)
		require.Error(t, err, name)
		require.NotContains(t, out, "not reached\nnot", name)
	}
	_, err = script{text: "sleep 1000\n", timeout: 50 * time.Millisecond}.run(dir)
	require.ErrorContains(t, err, "not done after")

	_, err = script{text: "sleep 1000 & echo $! > pid\n", timeout: time.Minute}.run(dir)
	require.NoError(t, err)
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	require.NoError(t, err)
	alive := exec.Command("kill", "-0", string(bytes.TrimSpace(pid))).Run()
	require.Error(t, alive, "what was left in the background is ended")
}

// A port that the document uses is held by this test: a script with a loopback of its own does not see it, any other is told of it.
func TestPortsOfDocumentsThatOthersHold(t *testing.T) {
	held, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer held.Close()
	s := script{text: "exec 3<>/dev/tcp/127.0.0.1/${port#*:}\n", timeout: time.Minute}
	s.text = "port=" + held.Addr().String() + "\n" + s.text
	require.Equal(t, []string{held.Addr().String()}, s.taken())
	out, err := s.run(t.TempDir())
	require.NoError(t, err, out)
	if alone := loopback(); alone != nil {
		out, err = s.run(t.TempDir(), alone...)
		require.Error(t, err, out)
		require.Contains(t, out, "refused")
	}
}
