package topologies

import (
	"embed"
	"strings"
)

//go:embed *.yaml
var ready embed.FS

// Ready returns one of the experiment files that come with the program; ReadyNames lists them.
func Ready(name string) (data []byte, ok bool) {
	data, err := ready.ReadFile(name + ".yaml")
	return data, err == nil
}

// ReadyNames lists the experiment files that come with the program, in alphabetical order.
func ReadyNames() []string {
	entries, err := ready.ReadDir(".")
	if err != nil {
		panic(err) // the embedded directory is part of the program
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return names
}
