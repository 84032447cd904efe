package topologies

import _ "embed"

// The schema is generated from the Go structs and their comments by TestSchema -update; the test fails when they drift apart.
//
//go:generate go test -run TestSchema -update .
//go:embed schema/experiment.v1.json
var schema []byte

// Schema returns the JSON Schema (draft 2020-12) of the experiment file. It knows the shape of a file; what the values mean is checked
// by Parse.
func Schema() ([]byte, error) { return append([]byte(nil), schema...), nil }
