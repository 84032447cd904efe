package results

import (
	"fmt"
	"os"
	"path/filepath"
)

// Latest is the name of the link beside runs, and beside reports, that points at the newest.
const Latest = "latest"

// MarkLatest points root/latest at root/id. The link is replaced in one step, so a reader never finds it missing.
func MarkLatest(root, id string) error {
	temporary := filepath.Join(root, fmt.Sprintf(".%s-%d", Latest, os.Getpid()))
	if err := os.Symlink(id, temporary); err != nil {
		return fmt.Errorf("pointing %s at %s: %w", Latest, id, err)
	}
	if err := os.Rename(temporary, filepath.Join(root, Latest)); err != nil {
		os.Remove(temporary)
		return fmt.Errorf("pointing %s at %s: %w", Latest, id, err)
	}
	return nil
}
