package crossroads_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// outside are the commands of others that a document may show. Their flags are not checked.
var outside = []string{
	"awk", "benchstat", "cat", "cd", "chmod", "cp", "curl", "cut", "diff", "docker", "echo", "env", "export", "false", "file", "for", "git",
	"go", "grep", "head", "jq", "kill", "kubectl", "ls", "mkdir", "mv", "openssl", "printf", "python3", "rm", "sed", "seq", "sha256sum", "sleep",
	"sort", "tail", "tar", "taskset", "tee", "test", "timeout", "touch", "tr", "trap", "true", "uniq", "vegeta", "wait", "wc", "xargs",
}

// noCommand are words that stand before a command.
var noCommand = []string{"!", "$", "do", "else", "fi", "done", "if", "sudo", "then", "time", "until", "while", "{", "}"}

var assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// commandsOf splits a shell text into commands of words. It knows as much of the shell as documents use: continued lines, comments,
// quotes, lists and pipes, here-documents, words before a command. What runs inside $(...) is not looked at.
func commandsOf(text string) [][]string {
	var all [][]string
	text = strings.ReplaceAll(text, "\\\n", " ")
	end := "" // of a here-document
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if end != "" {
			if strings.TrimSpace(line) == end {
				end = ""
			}
			continue
		}
		var command []string
		flush := func() {
			for len(command) > 0 && (slices.Contains(noCommand, command[0]) || assignment.MatchString(command[0])) {
				command = command[1:]
			}
			if len(command) > 0 {
				all = append(all, command)
			}
			command = nil
		}
		for _, word := range wordsOf(line) {
			if strings.HasPrefix(word, "<<") && !strings.HasPrefix(word, "<<<") {
				end = strings.Trim(strings.TrimLeft(word, "<-"), `'"`)
			}
			switch word {
			case ";", "&&", "||", "|", "&", "(", ")":
				flush()
			default:
				command = append(command, word)
			}
		}
		flush()
	}
	return all
}

var wordPattern = regexp.MustCompile(`&&|\|\||[;|&()](?:[^>]|$)?|(?:'[^']*'|"(?:[^"\\]|\\.)*"|\$\([^)]*\)|\d?>&\d|[^\s;|&()'"])+`)

func wordsOf(line string) []string {
	var words []string
	for _, at := range wordPattern.FindAllStringIndex(line, -1) {
		word := strings.TrimSpace(line[at[0]:at[1]])
		if strings.HasPrefix(word, "#") && (at[0] == 0 || line[at[0]-1] == ' ') {
			break
		}
		words = append(words, word)
	}
	return words
}

// programs answers what our own programs and the Makefile know.
type programs struct {
	bin     string // directory of the programs
	targets []string
	help    map[string]string
}

// check returns what a command names that does not exist, "" for nothing.
func (p *programs) check(command []string) string {
	name := strings.TrimPrefix(command[0], "./")
	own, inBin := strings.CutPrefix(name, "bin/")
	_, err := os.Stat(filepath.Join(p.bin, own))
	switch {
	case name == "make":
		for _, word := range command[1:] {
			if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") && !slices.Contains(p.targets, word) {
				return fmt.Sprintf("make has no target %s", word)
			}
		}
		return ""
	case err == nil && own != "":
		return p.checkOwn(own, command[1:])
	case inBin:
		return fmt.Sprintf("there is no program %s", name)
	case slices.Contains(outside, name):
		return ""
	}
	return fmt.Sprintf("the command %s is not known here (see outside in commands_test.go)", name)
}

// checkOwn follows subcommands as far as --help lists them and looks for every flag in the help of the last.
func (p *programs) checkOwn(name string, args []string) string {
	path := []string{name}
	help := p.helpOf(path)
	for i, word := range args {
		if word == ">" || word == "2>" || strings.HasPrefix(word, "<") {
			break
		}
		if flag, isFlag := strings.CutPrefix(word, "--"); isFlag {
			flag, _, _ = strings.Cut(flag, "=")
			if flag != "" && flag != "help" && !regexp.MustCompile(`--`+regexp.QuoteMeta(flag)+`\b`).MatchString(help) {
				return fmt.Sprintf("%s has no flag --%s", strings.Join(path, " "), flag)
			}
			continue
		}
		if i == len(path)-1 && !strings.HasPrefix(word, "-") {
			if subcommand(help, word) {
				path = append(path, word)
				help = p.helpOf(path)
			} else if i == 0 {
				return fmt.Sprintf("%s has no command %s", name, word)
			}
		}
	}
	return ""
}

// subcommand says whether help lists a command: at the beginning of an indented line.
func subcommand(help, word string) bool {
	return regexp.MustCompile(`(?m)^\s+` + regexp.QuoteMeta(word) + `(\s|$)`).MatchString(help)
}

func (p *programs) helpOf(path []string) string {
	key := strings.Join(path, " ")
	if h, ok := p.help[key]; ok {
		return h
	}
	out, _ := exec.Command(filepath.Join(p.bin, path[0]), append(path[1:], "--help")...).CombinedOutput()
	p.help[key] = string(out)
	return p.help[key]
}

var target = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)

func targetsOf(makefile string) []string {
	var all []string
	for _, m := range target.FindAllStringSubmatch(makefile, -1) {
		all = append(all, m[1])
	}
	return all
}

func TestCommandsOfAShellText(t *testing.T) {
	text := `make build && bin/gateway run --config "a b.yaml" & # a comment
X=1 Y=2 bin/crossroads bench \
  --rates 500,1k
! curl -s 'http://127.0.0.1:8080/?a=1&b=2' | head -n 1; kill $! 2>&1
cat > file.yaml <<'EOF'
bin/nothing --here
EOF
until curl -sf http://127.0.0.1:9901/readyz; do sleep 0.1; done
id=$(ls results | head -n 1)
`
	require.Equal(t, [][]string{
		{"make", "build"},
		{"bin/gateway", "run", "--config", `"a b.yaml"`},
		{"bin/crossroads", "bench", "--rates", "500,1k"},
		{"curl", "-s", `'http://127.0.0.1:8080/?a=1&b=2'`},
		{"head", "-n", "1"},
		{"kill", "$!", "2>&1"},
		{"cat", ">", "file.yaml", "<<'EOF'"},
		{"curl", "-sf", "http://127.0.0.1:9901/readyz"},
		{"sleep", "0.1"},
	}, commandsOf(text))
}

// TestWrongCommandsAreSeen puts a program with known help in the place of ours.
func TestWrongCommandsAreSeen(t *testing.T) {
	bin := t.TempDir()
	program := "#!/bin/sh\ncase $1 in\nrun) echo 'Usage: gateway run'; echo '      --config FILE';;\n" +
		"*) echo 'Commands:'; echo '  run       serves'; echo '  validate  checks';;\nesac\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "gateway"), []byte(program), 0o755))
	p := &programs{bin: bin, targets: targetsOf("build: x ## y\n.PHONY: z\nbench:\n\tmake\n"), help: map[string]string{}}
	for command, want := range map[string]string{
		"make build":                         "",
		"make -j2 bench ARGS=x":              "",
		"make everything":                    "make has no target everything",
		"bin/gateway run --config a.yaml":    "",
		"./bin/gateway run --config=a.yaml":  "",
		"gateway run --help":                 "",
		"bin/gateway run --conf a.yaml":      "gateway run has no flag --conf",
		"bin/gateway serve":                  "gateway has no command serve",
		"bin/gateway validate --config a":    "gateway validate has no flag --config",
		"bin/gateway run > --not-a-flag.log": "",
		"bin/sidecar run":                    "there is no program bin/sidecar",
		"curl -s http://127.0.0.1":           "",
		"curly":                              "the command curly is not known here (see outside in commands_test.go)",
	} {
		require.Equal(t, want, p.check(strings.Fields(command)), command)
	}
}
