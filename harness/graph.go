package harness

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"crossroads/harness/deploy"
	"crossroads/results"
)

// maxGraph bounds the dependency graph that is kept of a trial, in bytes.
const maxGraph = 1 << 20

// keepGraph saves the dependency graph as the arm's control plane saw it when the block ended, with the cascades of the deployment so
// far. It is an extra of the run directory: where it cannot be had the trial is none the worse.
func (r *Runner) keepGraph(ctx context.Context, t results.PlannedTrial, d deploy.Deployment) {
	for _, p := range d.Processes() {
		if p.Kind != deploy.KindControl {
			continue
		}
		if err := saveGraph(ctx, p.Admin, filepath.Join(r.Run.Dir, results.GraphsDir), t.ID+".json"); err != nil {
			r.Progress.Note(fmt.Sprintf("the dependency graph of %s is not kept: %v", t.ID, err))
		}
		return
	}
}

func saveGraph(ctx context.Context, admin, dir, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, admin+"/graph?format=json", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking the control plane: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxGraph+1))
	switch {
	case err != nil:
		return fmt.Errorf("asking the control plane: %w", err)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("asking the control plane: status %d", response.StatusCode)
	case len(text) > maxGraph:
		return fmt.Errorf("it is longer than %d bytes", maxGraph)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), text, 0o644)
}
