package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"crossroads/harness"
)

// doctor says whether this machine can measure, and how to mend what stands in the way.
func (a *app) doctor() *cobra.Command {
	return &cobra.Command{
		Use: "doctor", Short: "Look at whether this machine can measure",
		Example: "  crossroads doctor", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			executable, err := os.Executable()
			if err != nil {
				return fmt.Errorf("finding this program: %w", err)
			}
			checks := harness.Doctor(executable, filepath.Join("results", "runs"))
			text, broken := "", false
			for _, c := range checks {
				mark := "ok  "
				if !c.OK {
					mark, broken = "warn", broken || c.Need
				}
				if !c.OK && c.Need {
					mark = "FAIL"
				}
				text += fmt.Sprintf("%s  %-11s %s\n", mark, c.Name, c.Text)
				if !c.OK {
					text += fmt.Sprintf("      %-11s hint: %s\n", "", c.Mend)
				}
			}
			if broken {
				fmt.Fprint(a.stderr, text)
				return &exit{code: exitInternal, err: errors.New("this machine cannot measure yet"), hint: "mend what is marked FAIL"}
			}
			return a.result(checks, text)
		},
	}
}
