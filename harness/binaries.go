package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"crossroads/proxies/config/units"
)

// programs are the binaries a deployment may start, by kind of process.
var programs = []string{"gateway", "sidecar", "control", "workload"}

// Binaries finds the programs beside the crossroads executable. It returns an error that names the first one that is missing.
func Binaries(executable string) (map[string]string, error) {
	found := map[string]string{"crossroads": executable}
	for _, name := range programs {
		path := filepath.Join(filepath.Dir(executable), name)
		if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
			return nil, fmt.Errorf("no program %s beside %s: build all of them with `make build`", name, executable)
		}
		found[name] = path
	}
	return found, nil
}

func unitsDuration(d time.Duration) units.Duration { return units.Duration(d) }
