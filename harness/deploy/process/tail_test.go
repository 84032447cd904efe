package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTail(t *testing.T) {
	var many []string
	for i := range 5000 {
		many = append(many, fmt.Sprintf("line %d", i))
	}
	long := strings.Repeat("x", 3*tailBytes)
	tests := []struct {
		name, text string
		want       []string
	}{
		{"empty", "", nil},
		{"only line ends", "\n\n", nil},
		{"whole", "a\nb\n", []string{"a", "b"}},
		{"without a last line end", "a\nb", []string{"a", "b"}},
		{"many", strings.Join(many, "\n"), many[len(many)-tailLines:]},
		{"one line longer than is read", long, []string{long[:tailBytes]}},
		{"a line cut at its beginning", long + "\nend\n", []string{"end"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "log")
			require.NoError(t, os.WriteFile(file, []byte(tt.text), 0o600))
			require.Equal(t, tt.want, tail(file))
		})
	}
	require.Nil(t, tail(filepath.Join(t.TempDir(), "none")))
}

func TestAbandoned(t *testing.T) {
	own, err := namePrivate("/tmp")
	require.NoError(t, err)
	name := filepath.Base(own)
	require.False(t, abandoned(name), "we live")
	parts := strings.Split(name, "-")
	other := func(field int, value string) string {
		changed := append([]string{}, parts...)
		changed[field] = value
		return strings.Join(changed, "-")
	}
	require.True(t, abandoned(other(3, "1")), "our PID, but another process had it")
	require.True(t, abandoned(other(2, "4194305")), "beyond the largest PID")
	require.False(t, abandoned(other(1, "1")), "of another PID namespace")
	require.False(t, abandoned(other(2, "x")))
	require.False(t, abandoned("crossroads-notes"))
	require.False(t, abandoned("notes"))
}
