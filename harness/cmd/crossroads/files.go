package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"crossroads/topologies"
)

// defaultExperiment is what bench, plan and graph take without a FILE.
const defaultExperiment = "storefront"

// load reads an experiment: a file, or the name of a ready one.
func loadExperiment(args []string) (*topologies.Experiment, error) {
	name := defaultExperiment
	if len(args) > 0 {
		name = args[0]
	}
	if _, err := os.Stat(name); err == nil {
		return topologies.Load(name)
	}
	if data, known := topologies.Ready(strings.TrimSuffix(filepath.Base(name), ".yaml")); known && !strings.ContainsRune(name, os.PathSeparator) {
		return topologies.Parse(name+".yaml", data)
	}
	return nil, &exit{code: exitUsage, err: fmt.Errorf("no experiment file %s", name),
		hint: "the ready ones are " + strings.Join(topologies.ReadyNames(), ", ") + "; `crossroads init` writes one to start from"}
}

// validate prints nothing and exits 0, or prints every fault and exits 2.
func (a *app) validate() *cobra.Command {
	return &cobra.Command{
		Use: "validate FILE", Short: "Check an experiment file: silent and 0, or every fault and 2",
		Example: "  crossroads validate topologies/storefront.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			_, err := loadExperiment(args)
			return err
		},
	}
}

// graph prints services and proxies as Graphviz dot.
func (a *app) graph() *cobra.Command {
	var topology string
	c := &cobra.Command{
		Use: "graph [FILE]", Short: "Print services and proxies of a topology as Graphviz dot",
		Example: "  crossroads graph storefront --topology mesh | dot -Tsvg > mesh.svg",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := loadExperiment(args)
			if err != nil {
				return err
			}
			for _, arm := range e.Arms() {
				if arm.Name == topology {
					_, err := fmt.Fprint(a.stdout, e.Dot(arm))
					return err
				}
			}
			return usage("--topology %q: the experiment has %s", topology, strings.Join(e.Topologies.Keys(), ", "))
		},
	}
	c.Flags().StringVar(&topology, "topology", "direct", "the topology to draw")
	return c
}

// schema prints the JSON Schema of experiment files.
func (a *app) schema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of experiment files",
		Example: "  crossroads schema > experiment.v1.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := topologies.Schema()
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(schema)
			return err
		},
	}
}

// initVerb writes a ready experiment as a file to start from.
func (a *app) initVerb() *cobra.Command {
	var from string
	c := &cobra.Command{
		Use: "init [FILE]", Short: "Write an experiment file to start from",
		Example: "  crossroads init shop.yaml --from storefront",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			file := "experiment.yaml"
			if len(args) > 0 {
				file = args[0]
			}
			data, known := topologies.Ready(from)
			if !known {
				return usage("--from %s: the ready experiments are %s", from, strings.Join(topologies.ReadyNames(), ", "))
			}
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if err != nil {
				return &exit{code: exitInternal, err: err, hint: "name a file that does not exist yet"}
			}
			if _, err := f.Write(data); err != nil {
				f.Close()
				return fmt.Errorf("writing %s: %w", file, err)
			}
			if err := f.Close(); err != nil {
				return fmt.Errorf("writing %s: %w", file, err)
			}
			_, err = fmt.Fprintln(a.stdout, file)
			return err
		},
	}
	c.Flags().StringVar(&from, "from", defaultExperiment, "the ready experiment to copy")
	return c
}
