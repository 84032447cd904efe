package operate

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"crossroads/proxies/telemetry"
)

// Program is the root of a proxy's command: it says what it is, and what it can be told.
func Program(name, short, example string, verbs ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use: name, Short: short, Example: example, SilenceErrors: true, SilenceUsage: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(verbs...)
	return root
}

// Execute runs a command line and returns the exit code: 0, 1 where something could not be done, 2 where it was not understood.
func Execute(root *cobra.Command, args []string, stdout, stderr io.Writer) int {
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return Exit(stderr, root.Name(), Misuse(root.ExecuteContext(context.Background())))
}

// Version is the verb that says what runs.
func Version(program, version string) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version, the commit and the Go release",
		Example: "  " + program + " version",
		Args:    cobra.NoArgs,
		Run: func(c *cobra.Command, _ []string) {
			fmt.Fprintf(c.OutOrStdout(), "%s %s %s %s\n", program, version, telemetry.Revision(), runtime.Version())
		},
	}
}

// ConfigFlag declares the one flag that every verb about a file needs.
func ConfigFlag(c *cobra.Command) *string {
	file := c.Flags().StringP("config", "c", "", "the configuration `FILE`")
	Required(c, "config")
	return file
}

// Required marks flags without which a verb has nothing to do. Requiring one that does not exist is a mistake of this program: it shows
// with the first start.
func Required(c *cobra.Command, flags ...string) {
	for _, f := range flags {
		if err := c.MarkFlagRequired(f); err != nil {
			panic(err)
		}
	}
}
