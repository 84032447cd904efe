package harness

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"crossroads/proxies/config/units"
	"crossroads/results"
)

// programs are the binaries a deployment may start, by kind of process.
var programs = []string{"gateway", "sidecar", "control", "workload", "relay"}

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

// hashBinaries lists the programs with their hashes, in a fixed order.
func hashBinaries(paths map[string]string) ([]results.Binary, error) {
	var list []results.Binary
	for _, name := range slices.Sorted(maps.Keys(paths)) {
		sum, err := results.BinaryHash(paths[name])
		if err != nil {
			return nil, err
		}
		list = append(list, results.Binary{Name: name, SHA256: sum})
	}
	return list, nil
}

func unitsDuration(d time.Duration) units.Duration { return units.Duration(d) }
