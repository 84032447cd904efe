// Package crossroads_test holds the tests about the repository itself: the floors of ARCHITECTURE.md, how packages may be called,
// the words of the house, and the commands that the documentation shows.
package crossroads_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "crossroads"

// source is one Go file of the repository.
type source struct {
	path string // relative, with slashes
	file *ast.File
	test bool
}

// pkg is the directory of the file, "" for the root.
func (s source) pkg() string {
	dir := filepath.ToSlash(filepath.Dir(s.path))
	if dir == "." {
		return ""
	}
	return dir
}

// ours returns the packages of this module that the file imports, relative to the root.
func (s source) ours() []string {
	var out []string
	for _, i := range s.file.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue // the file would not compile
		}
		if rest, ok := strings.CutPrefix(path, module+"/"); ok {
			out = append(out, rest)
		}
	}
	return out
}

// walk calls f for every file of the repository that is not made by a build, a run or git.
func walk(t *testing.T, f func(path string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, slash := d.Name(), filepath.ToSlash(path)
		if d.IsDir() {
			if path != "." && strings.HasPrefix(name, ".") || name == "testdata" || slash == "bin" || slash == "results/runs" || slash == "reports/html" {
				return filepath.SkipDir
			}
			return nil
		}
		if d.Type().IsRegular() {
			f(slash)
		}
		return nil
	})
	require.NoError(t, err)
}

func sources(t *testing.T) (*token.FileSet, []source) {
	t.Helper()
	set := token.NewFileSet()
	var all []source
	walk(t, func(path string) {
		if filepath.Ext(path) != ".go" {
			return
		}
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		require.NoError(t, err)
		all = append(all, source{path: path, file: file, test: strings.HasSuffix(path, "_test.go")})
	})
	require.NotEmpty(t, all)
	return set, all
}

// namesForNothing say what a package is to others and not what it holds.
var namesForNothing = []string{"base", "common", "core", "helper", "helpers", "lib", "misc", "shared", "util", "utils"}

func TestPackagesAreNamedByWhatTheyHold(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		name := strings.TrimSuffix(s.file.Name.Name, "_test")
		require.NotContains(t, namesForNothing, name, "%s: package %s says nothing", s.path, name)
		for _, part := range strings.Split(s.pkg(), "/") {
			require.NotContains(t, namesForNothing, part, "%s: the folder %s says nothing", s.path, part)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	_, all := sources(t)
	said := map[string]bool{}
	for _, s := range all {
		if !s.test && s.pkg() != "" {
			said[s.pkg()] = said[s.pkg()] || s.file.Doc != nil && len(strings.Fields(s.file.Doc.Text())) >= 8
		}
	}
	for pkg, ok := range said {
		require.True(t, ok, "%s has no package comment that says what it is", pkg)
	}
}

// TestNothingHappensBehindMain holds two rules of the house: no registries filled by init, and only main ends the process.
func TestNothingHappensBehindMain(t *testing.T) {
	set, all := sources(t)
	for _, s := range all {
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				require.False(t, n.Recv == nil && n.Name.Name == "init", "%s: init runs before anybody asked for it", set.Position(n.Pos()))
			case *ast.SelectorExpr:
				of, ok := n.X.(*ast.Ident)
				require.False(t, ok && of.Name == "log" && strings.HasPrefix(n.Sel.Name, "Fatal"), "%s: only main ends the process", set.Position(n.Pos()))
				require.False(t, ok && of.Name == "os" && n.Sel.Name == "Exit" && s.file.Name.Name != "main", "%s: only main ends the process", set.Position(n.Pos()))
			}
			return true
		})
	}
}

// otherWords are synonyms that TERMS.md replaced by one word, and marks of work that is not done.
var otherWords = map[string]string{
	"middleware": "stage", "plugin": "stage", "interceptor": "stage", "circuit breaker": "breaker", "circuit-breaker": "breaker",
	"TO" + "DO": "work that is done", "FIX" + "ME": "work that is done",
}

// TestOneWordForOneThing reads everything but TERMS.md, which names the other words to say that they are not used.
func TestOneWordForOneThing(t *testing.T) {
	walk(t, func(path string) {
		ext := filepath.Ext(path)
		if ext != ".go" && ext != ".md" && ext != ".yaml" || path == "TERMS.md" || path == "house_test.go" {
			return
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		text := string(data)
		lower := strings.ToLower(text)
		for other, word := range otherWords {
			in := lower
			if other == strings.ToUpper(other) {
				in = text
			}
			at := strings.Index(in, other)
			require.False(t, at >= 0, "%s:%d: %q, in this house: %s", path, 1+strings.Count(text[:max(0, at)], "\n"), other, word)
		}
	})
}
