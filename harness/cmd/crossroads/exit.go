package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"crossroads/harness/deploy"
	"crossroads/harness/rivals"
	"crossroads/proxies/config/strict"
	"crossroads/results"
)

// The exit codes.
const (
	exitOK          = 0
	exitInternal    = 1   // internal, or input and output
	exitUsage       = 2   // usage, or an invalid file
	exitGate        = 3   // the gate failed
	exitCannotJudge = 4   // no baseline, another host or experiment, too few rounds, generator-limited
	exitTarget      = 5   // the system under test did not start, or failed parity
	exitInterrupted = 130 // what finished is kept
)

// exit is an error that knows its exit code and how to mend it.
type exit struct {
	code    int
	err     error
	hint    string
	printed bool // stdout carries the result already: a verdict, which the exit code only repeats
}

func (e *exit) Error() string { return e.err.Error() }
func (e *exit) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exit{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// code finds the exit code of an error.
func code(err error) int {
	var known *exit
	var faults strict.Faults
	var notReady *deploy.NotReady
	var mismatch *results.Mismatch
	var unusable *rivals.Unusable
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &known):
		return known.code
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &faults):
		return exitUsage
	case errors.As(err, &unusable) && unusable.Missing:
		return exitTarget
	case unusable != nil:
		return exitUsage
	case errors.As(err, &mismatch):
		return exitCannotJudge
	case errors.As(err, &notReady):
		return exitTarget
	case strings.HasPrefix(err.Error(), "unknown command"), strings.HasPrefix(err.Error(), "accepts "),
		strings.HasPrefix(err.Error(), "requires "): // cobra's own, which have no type
		return exitUsage
	}
	return exitInternal
}

// report prints an error and its hint on stderr, and with --format json the one document on stdout; it returns the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return a.status
	}
	status := code(err)
	var known *exit
	hint := ""
	var unusable *rivals.Unusable
	switch {
	case errors.As(err, &known):
		hint = known.hint
	case errors.As(err, &unusable):
		hint = unusable.Mend
	}
	if status == exitInterrupted && hint == "" {
		err = errors.New("interrupted")
	}
	if a.format == "json" && !(known != nil && known.printed) {
		encoded, _ := json.Marshal(map[string]any{"error": err.Error(), "hint": hint, "exit": status}) // strings and a number: cannot fail
		fmt.Fprintln(a.stdout, string(encoded))
	}
	fmt.Fprintln(a.stderr, "error:", err)
	if hint != "" {
		fmt.Fprintln(a.stderr, "hint:", hint)
	}
	return status
}
