package process

import (
	"context"
	"errors"
	"os"

	"crossroads/harness/deploy"
	"crossroads/topologies"
)

// external is a system that somebody else runs: nothing was started here, so nothing can be signalled, watched or taken down.
type external struct {
	entries []deploy.Entry
	exits   chan deploy.Exit
}

func newExternal(arm *topologies.Arm) *external {
	return &external{entries: []deploy.Entry{{Name: arm.Name, URL: arm.Topology.External.URL}}, exits: make(chan deploy.Exit)}
}

func (e *external) Entries() []deploy.Entry       { return e.entries }
func (e *external) Processes() []deploy.Process   { return nil }
func (e *external) Exits() <-chan deploy.Exit     { return e.exits }
func (e *external) Close(_ context.Context) error { return nil }

func (e *external) Signal(_ context.Context, id string, _ os.Signal) error { return notOurs(id) }
func (e *external) Pause(_ context.Context, id string, _ bool) error       { return notOurs(id) }
func (e *external) End(_ context.Context, id string, _ os.Signal) error    { return notOurs(id) }
func (e *external) Start(_ context.Context, id string) error               { return notOurs(id) }

func notOurs(id string) error {
	return errors.New("signalling " + id + ": an external system is not ours to signal")
}
