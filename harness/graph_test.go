package harness

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSaveGraph(t *testing.T) {
	answer, status := `{"format":1}`, http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	defer s.Close()
	dir := filepath.Join(t.TempDir(), "graphs")
	require.NoError(t, saveGraph(t.Context(), s.URL, dir, "a.json"))
	text, err := os.ReadFile(filepath.Join(dir, "a.json"))
	require.NoError(t, err)
	require.Equal(t, answer, string(text))

	status = http.StatusNotFound
	require.ErrorContains(t, saveGraph(t.Context(), s.URL, dir, "b.json"), "status 404")
	answer, status = strings.Repeat("x", maxGraph+1), http.StatusOK
	require.ErrorContains(t, saveGraph(t.Context(), s.URL, dir, "b.json"), "longer")
	require.NoFileExists(t, filepath.Join(dir, "b.json"))
}
