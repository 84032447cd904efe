package topologies_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"crossroads/proxies/config/units"
	"crossroads/topologies"
)

const schemaFile = "schema/experiment.v1.json"

// TestSchema generates the schema from the structs and compares it with the committed one.
func TestSchema(t *testing.T) {
	generated := generate(t)
	golden(t, schemaFile, string(generated))
	served, err := topologies.Schema()
	require.NoError(t, err)
	if !*update { // what is embedded is what was there when the test was built
		require.Equal(t, string(generated), string(served))
	}
}

// TestSchemaAcceptsWhatParses: editors that follow the schema must not mark a good file.
func TestSchemaAcceptsWhatParses(t *testing.T) {
	s := compile(t)
	for _, name := range topologies.ReadyNames() {
		data, _ := topologies.Ready(name)
		require.NoError(t, s.Validate(value(t, data)), name)
		resolved, err := topologies.Marshal(load(t, name))
		require.NoError(t, err)
		require.NoError(t, s.Validate(value(t, resolved)), "resolved "+name)
	}
	everything, err := os.ReadFile("testdata/everything.yaml")
	require.NoError(t, err)
	for _, text := range []string{
		string(everything),
		application + "  x: {mesh: {sidecars: client, mtls: off}}\n",
		strings.Replace(application, "[100]", "1k..16k*2, connections: [1, 2], arrivals: {ramp: {from: 10%}}", 1) + "  x: {external: {url: 'http://h:1'}}\n",
	} {
		parse(t, text)
		require.NoError(t, s.Validate(value(t, []byte(text))))
	}
}

// TestSchemaRefusesSlips: the shape errors that an editor should mark while typing.
func TestSchemaRefusesSlips(t *testing.T) {
	s := compile(t)
	good, _ := topologies.Ready("storefront")
	for _, c := range [][2]string{
		{"rounds: 6", "roundz: 6"}, {"rounds: 6", "rounds: many"}, {"warmup: 350ms", "warmup: 350"}, {"mtls: strict", "mtls: sometimes"},
		{"rates: [250, 500, 1k]", "rates: 1k..2k"}, {"probability: 50%", "probability: half"}, {"key_auth: on", "key_auth: maybe"},
		{"version: 1", "version: 2"}, {"size: 1KiB", "size: big"}, {"p(99) < 20ms", "p99 < 20ms"}, {"call: orders", "cal: orders"},
	} {
		text := strings.Replace(string(good), c[0], c[1], 1)
		require.NotEqual(t, string(good), text, c[0])
		require.Error(t, s.Validate(value(t, []byte(text))), c[1])
	}
}

func compile(t *testing.T) *validator.Schema {
	t.Helper()
	data, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	doc, err := validator.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	c := validator.NewCompiler()
	require.NoError(t, c.AddResource("experiment.json", doc))
	s, err := c.Compile("experiment.json")
	require.NoError(t, err)
	return s
}

// value reads YAML as an editor does: numbers are numbers, everything else text.
func value(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	require.NoError(t, yaml.Unmarshal(data, &v))
	encoded, err := json.Marshal(v)
	require.NoError(t, err)
	doc, err := validator.UnmarshalJSON(bytes.NewReader(encoded))
	require.NoError(t, err)
	return doc
}

func generate(t *testing.T) []byte {
	t.Helper()
	r := &jsonschema.Reflector{FieldNameTag: "yaml", ExpandedStruct: true, Anonymous: true, Mapper: special}
	require.NoError(t, r.AddGoComments("crossroads/topologies", ".", jsonschema.WithFullComment()))
	delete(r.CommentMap, "crossroads/topologies.Experiment")
	s := r.Reflect(&topologies.Experiment{})
	r.ExpandedStruct = false // the types behind a Map or a Step are only referred to there
	for _, behind := range []any{topologies.Service{}, topologies.Topology{}, topologies.Call{}, topologies.Ramp{}, topologies.Composition{}, topologies.ClientCall{}} {
		for name, definition := range r.Reflect(behind).Definitions {
			s.Definitions[name] = definition
		}
	}
	s.ID = "https://crossroads.invalid/schema/experiment.v1.json"
	s.Title = "Crossroads experiment, version 1"
	limit(s)
	out, err := json.MarshalIndent(s, "", "  ")
	require.NoError(t, err)
	return append(out, '\n')
}

// limit adds the words and bounds that Go types do not carry.
func limit(s *jsonschema.Schema) {
	choose := func(s *jsonschema.Schema, key string, words ...any) {
		p, ok := s.Properties.Get(key)
		if !ok {
			panic("no property " + key)
		}
		p.Enum = words
	}
	choose(s, "version", 1)
	choose(s.Definitions["Gateway"], "use", "reference", "relay", "nginx", "haproxy", "envoy", "traefik", "caddy", "kong")
	terms := s.Definitions["GatewayUpstream"]
	choose(terms, "balance", "round_robin", "least_request", "peak_ewma", "random", "hash")
	for _, term := range []string{"retries", "breaker", "health", "bulkhead"} {
		choose(terms, term, "off", "on")
	}
	mesh := s.Definitions["Mesh"]
	choose(mesh, "use", "reference", "relay", "nginx", "haproxy", "envoy", "linkerd", "istio")
	choose(mesh, "sidecars", "none", "client", "server", "both")
	choose(mesh, "mtls", "strict", "permissive", "off")
	choose(mesh, "balance", "round_robin", "least_request")
	choose(mesh, "breaker", "off", "on")
	choose(s.Definitions["Client"], "calls", "at_once", "in_order")
	choose(mesh, "retries", "off", "on")
	choose(mesh, "app", "tcp", "unix")
	choose(mesh, "ledger", "off", "sampled", "always")
	choose(s.Definitions["Gateway"], "ledger", "off", "sampled", "always")
	choose(mesh, "protocol", "http", "opaque")
	choose(mesh, "authorization", "off", "dry_run", "on")
	choose(s.Definitions["Driving"], "driver", "native", "vegeta")
	choose(s.Definitions["Driving"], "pacing", "precise", "economical")
	choose(s.Definitions["Request"], "method", "GET", "POST", "PUT", "PATCH", "DELETE")
}

func text(pattern string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: pattern}
}

func either(all ...*jsonschema.Schema) *jsonschema.Schema { return &jsonschema.Schema{OneOf: all} }

func ref(name string) *jsonschema.Schema { return &jsonschema.Schema{Ref: "#/$defs/" + name} }

func listOf(item *jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "array", Items: item}
}

var (
	countText = `[0-9]+(\.[0-9]+)?[kM]?`
	count     = either(&jsonschema.Schema{Type: "number", Minimum: json.Number("0")}, text("^"+countText+"$"))
	modes     = &jsonschema.Schema{Type: "string", Enum: []any{"off", "shadow", "on"}}
)

// special maps the types that read themselves. A type it does not know is reflected.
func special(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[units.Duration]():
		return either(text(`^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`), &jsonschema.Schema{Type: "integer", Enum: []any{0}})
	case reflect.TypeFor[units.Bytes]():
		return either(text(`^[0-9]+(\.[0-9]+)?(B|kB|MB|GB|KiB|MiB|GiB)$`), &jsonschema.Schema{Type: "integer", Enum: []any{0}})
	case reflect.TypeFor[units.Count]():
		return count
	case reflect.TypeFor[units.Share]():
		return text(`^[0-9]+(\.[0-9]+)?%$`)
	case reflect.TypeFor[topologies.Rates]():
		return either(count, listOf(count), text(`^`+countText+`\.\.`+countText+`[*+]`+countText+`$`))
	case reflect.TypeFor[topologies.Ints]():
		whole := &jsonschema.Schema{Type: "integer"}
		return either(whole, listOf(whole))
	case reflect.TypeFor[topologies.Names]():
		name := &jsonschema.Schema{Type: "string"}
		return either(name, listOf(name))
	case reflect.TypeFor[topologies.Objective]():
		return text(`^ *(p\([0-9.]+\) *<=? *[0-9.]+(ns|us|ms|s|m)|errors *<=? *[0-9.]+%|achieved *>=? *[0-9.]+%( *offered)?) *$`)
	case reflect.TypeFor[topologies.Step]():
		return either(ref("Call"), listOf(ref("Call")))
	case reflect.TypeFor[topologies.Arrivals]():
		return either(text("^(constant|poisson)$"), object("ramp", ref("Ramp")), object("recorded", &jsonschema.Schema{Type: "string"}))
	case reflect.TypeFor[topologies.OwnConfig]():
		own := object("file", &jsonschema.Schema{Type: "string"})
		own.Properties.Set("text", &jsonschema.Schema{Type: "string"})
		return either(&jsonschema.Schema{Type: "string", MinLength: new(uint64(1))}, own)
	case reflect.TypeFor[topologies.StageMode]():
		return either(modes, object("mode", modes))
	case reflect.TypeFor[topologies.RateLimitStage]():
		return settings(map[string]*jsonschema.Schema{"rate": count, "burst": count})
	case reflect.TypeFor[topologies.IntrospectionStage]():
		return settings(map[string]*jsonschema.Schema{"max_age": special(reflect.TypeFor[units.Duration]())})
	case reflect.TypeFor[topologies.BodyLimitStage]():
		return settings(map[string]*jsonschema.Schema{"max": special(reflect.TypeFor[units.Bytes]())})
	}
	return orderedMap(t)
}

// orderedMap is a strict.Map: an object with any keys. Its values are read off the type of At.
func orderedMap(t reflect.Type) *jsonschema.Schema {
	at, ok := t.MethodByName("At")
	if !ok || !strings.HasPrefix(t.Name(), "Map[") {
		return nil
	}
	value := ref(at.Type.Out(0).Name())
	if at.Type.Out(0).Kind() == reflect.String {
		value = &jsonschema.Schema{Type: "string"}
	}
	return &jsonschema.Schema{Type: "object", AdditionalProperties: value}
}

// settings is a stage that is written as a word or with settings.
func settings(keys map[string]*jsonschema.Schema) *jsonschema.Schema {
	o := object("mode", modes)
	o.Required = nil
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		o.Properties.Set(key, keys[key])
	}
	return either(modes, o)
}

func object(key string, value *jsonschema.Schema) *jsonschema.Schema {
	o := &jsonschema.Schema{Type: "object", Properties: jsonschema.NewProperties(), Required: []string{key}, AdditionalProperties: jsonschema.FalseSchema}
	o.Properties.Set(key, value)
	return o
}
