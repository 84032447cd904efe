package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"crossroads/harness/deploy/process"
	"crossroads/harness/load"
)

// drive is the driver's process: one job on stdin, events on stdout.
func (a *app) drive() *cobra.Command {
	return &cobra.Command{Use: "drive", Hidden: true, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		a.status = load.Serve(a.stdin, a.stdout)
		return nil
	}}
}

// supervise is the parent of a deployment's processes.
func (a *app) supervise() *cobra.Command {
	return &cobra.Command{Use: "supervise", Hidden: true, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		a.status = process.Supervise(a.stdin, a.stdout)
		return nil
	}}
}

// version prints what was built, and from what.
func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs, Example: "  crossroads version",
		RunE: func(*cobra.Command, []string) error {
			revision := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = s.Value
					}
				}
			}
			_, err := fmt.Fprintf(a.stdout, "crossroads %s (%s)\n", revision, runtime.Version())
			return err
		},
	}
}

// completion prints a shell's completion script.
func (a *app) completion() *cobra.Command {
	return &cobra.Command{
		Use: "completion SHELL", Short: "Print the completion script of bash, zsh or fish",
		Example: "  source <(crossroads completion bash)",
		Args:    cobra.ExactArgs(1), ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(c *cobra.Command, args []string) error {
			switch args[0] {
			case "bash":
				return c.Root().GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return c.Root().GenZshCompletion(a.stdout)
			case "fish":
				return c.Root().GenFishCompletion(a.stdout, true)
			}
			return usage("completion %s: choose bash, zsh or fish", args[0])
		},
	}
}
