package operate

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"crossroads/proxies/config/strict"
)

// Exit codes of a proxy's command.
const (
	ExitOK       = 0
	ExitInternal = 1 // something could not be opened, read or served
	ExitUsage    = 2 // the command line or the file is not understood
)

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// Hint adds what the user may do about an error.
func Hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return hinted{err, fmt.Sprintf(format, args...)}
}

// usage marks an error of the command line.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

// Usage marks an error of the command line.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return usage{err}
}

// Exit writes an error for people (error: and then hint:) and returns the exit code that it deserves.
func Exit(stderr io.Writer, program string, err error) int {
	if err == nil {
		return ExitOK
	}
	hint, code := "", ExitInternal
	var faults strict.Faults
	var misuse usage
	switch {
	case errors.As(err, &faults):
		code = ExitUsage
		hint = fmt.Sprintf("mend the file and check it with `%s validate --config FILE`", program)
	case errors.As(err, &misuse):
		code = ExitUsage
		hint = fmt.Sprintf("`%s --help` shows what there is", program)
	}
	var with hinted
	if errors.As(err, &with) {
		hint = with.hint
	}
	fmt.Fprintf(stderr, "error: %s\n", strings.TrimRight(err.Error(), "\n"))
	if hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", hint)
	}
	return code
}

// Misuse marks what cobra refuses on its own, such as an unknown command or a missing flag, as an error of the command line. What
// a command itself returns is marked or wrapped already and stays as it is.
func Misuse(err error) error {
	if err == nil {
		return nil
	}
	for _, start := range []string{"unknown command", "unknown flag", "required flag", "accepts "} {
		if strings.HasPrefix(err.Error(), start) {
			return usage{err}
		}
	}
	return err
}
