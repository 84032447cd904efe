// Package stagetest is the suite that every stage passes: what the chain, the listener and the next engineer may rely on whatever a
// stage does.
//
// Its one invariant: it knows a stage only through exchange.Stage and the cases handed in. What a stage is for, its own tests say.
package stagetest

import (
	"regexp"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/exchange"
)

// Suite describes a stage to be tested.
type Suite struct {
	New    func(t testing.TB) exchange.Stage // makes a fresh stage, switched on
	Shadow func(t testing.TB) exchange.Stage // the same in shadow; nil: the stage cannot be
	Pass   []Request                         // requests that it lets through
	Stop   []Request                         // requests that it stops
	Free   bool                              // a pass allocates nothing
	Chance bool                              // it draws at random, so heads of equal requests may differ
}

// Run tests a stage.
func Run(t *testing.T, s Suite) {
	require.NotEmpty(t, s.Pass, "a suite needs requests that pass")
	t.Run("name", s.name)
	t.Run("pass and stop", s.passAndStop)
	t.Run("finish once", s.finishOnce)
	if !s.Chance {
		t.Run("reused exchange", s.reused)
	}
	t.Run("any end", s.anyEnd)
	t.Run("several at once", s.concurrent)
	if s.Shadow != nil {
		t.Run("shadow never acts", s.shadow)
	}
	if s.Free {
		t.Run("no allocation", s.free)
	}
}

func (s Suite) name(t *testing.T) {
	name := s.New(t).Name()
	require.Regexp(t, regexp.MustCompile(`^[a-z][a-z0-9_]{1,31}$`), name)
	require.Equal(t, name, s.New(t).Name(), "a name is the same for every instance")
}

func (s Suite) passAndStop(t *testing.T) {
	for i, r := range s.Pass {
		up := &Upstream{}
		x := r.Exchange()
		serve(s.New(t), up, x)
		require.Equal(t, 1, up.Calls, "request %d passes, but: %v", i, x.Fault)
		require.Nil(t, x.Fault)
		require.Equal(t, 200, x.Response.StatusCode())
	}
	for i, r := range s.Stop {
		up := &Upstream{}
		x := r.Exchange()
		serve(s.New(t), up, x)
		require.Zero(t, up.Calls, "request %d is stopped", i)
		require.GreaterOrEqual(t, x.Response.StatusCode(), 200)
		if x.Fault != nil {
			require.Equal(t, x.Fault.Status, x.Response.StatusCode())
			require.NotEmpty(t, x.Fault.Reason)
		}
	}
}

func serve(st exchange.Stage, up exchange.Forwarder, x *exchange.Exchange) {
	c := exchange.Chain{Stages: []exchange.Stage{st}, Forward: up}
	c.Serve(x)
	c.Finish(x, exchange.Complete)
}

// counting wraps a stage and counts its phases.
type counting struct {
	exchange.Stage
	inward, outward, finish int
}

func (c *counting) Inward(x *exchange.Exchange) exchange.Step { c.inward++; return c.Stage.Inward(x) }
func (c *counting) Outward(x *exchange.Exchange)              { c.outward++; c.Stage.Outward(x) }
func (c *counting) Finish(x *exchange.Exchange, end exchange.End) {
	c.finish++
	c.Stage.Finish(x, end)
}

// finishOnce also lets what stands behind the stage fail: it must settle then as well.
func (s Suite) finishOnce(t *testing.T) {
	for _, r := range append(append([]Request(nil), s.Pass...), s.Stop...) {
		for _, behind := range []exchange.Forwarder{&Upstream{}, failing{}} {
			c := &counting{Stage: s.New(t)}
			serve(c, behind, r.Exchange())
			require.Equal(t, 1, c.inward)
			require.Equal(t, 1, c.outward)
			require.Equal(t, 1, c.finish)
		}
	}
}

// failing is an upstream that cannot be reached.
type failing struct{}

func (failing) Forward(x *exchange.Exchange) exchange.Step { return x.Fail(exchange.UpstreamConnect) }

// reused sends all requests through one exchange and one stage, with every byte of the one before overwritten: a stage that kept
// something of an exchange, or left something in it, gives another result than with a fresh one.
func (s Suite) reused(t *testing.T) {
	all := append(append([]Request(nil), s.Stop...), s.Pass...)
	for _, first := range all {
		for _, second := range all {
			st := s.New(t)
			x := first.Exchange()
			serve(st, &Upstream{}, x)
			scribble(x)
			second.Fill(x)
			serve(st, &Upstream{}, x)

			fresh, other := s.New(t), first.Exchange()
			serve(fresh, &Upstream{}, other)
			want := second.Exchange()
			serve(fresh, &Upstream{}, want)
			require.Equal(t, Head(want), Head(x))
		}
	}
}

// scribble overwrites what an exchange's buffers hold, as the next request on its connection will.
func scribble(x *exchange.Exchange) {
	h := &x.Request.Header
	for _, b := range [][]byte{h.Host(), h.Method(), h.RequestURI(), x.Path} {
		fill(b)
	}
	for name, value := range h.All() {
		if string(name) != "Connection" { // its value may be fasthttp's own
			fill(value)
		}
	}
}

func fill(b []byte) {
	for i := range b {
		b[i] = '#'
	}
}

// anyEnd finishes exchanges in every way in which one may end.
func (s Suite) anyEnd(t *testing.T) {
	ends := []exchange.End{exchange.Complete, exchange.DownstreamGone, exchange.UpstreamCut, exchange.DeadlineExceeded, exchange.TunnelClosed}
	st := s.New(t)
	for _, r := range append(append([]Request(nil), s.Pass...), s.Stop...) {
		for _, end := range ends {
			x := r.Exchange()
			c := exchange.Chain{Stages: []exchange.Stage{st}, Forward: &Upstream{}}
			c.Serve(x)
			require.NotPanics(t, func() { c.Finish(x, end) }, end.String())
		}
	}
}

// concurrent is for the race detector.
func (s Suite) concurrent(t *testing.T) {
	st := s.New(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			x := s.Pass[0].Exchange()
			for range 50 {
				for _, r := range append(append([]Request(nil), s.Pass...), s.Stop...) {
					r.Fill(x)
					serve(st, &Upstream{}, x)
				}
			}
		})
	}
	all.Wait()
}

// shadow compares heads with those of a chain without the stage.
func (s Suite) shadow(t *testing.T) {
	for _, r := range append(append([]Request(nil), s.Pass...), s.Stop...) {
		for range 3 { // also once limits are reached
			with, without := r.Exchange(), r.Exchange()
			up := &Upstream{}
			serve(s.Shadow(t), up, with)
			require.Equal(t, 1, up.Calls, "a shadow stops nothing")
			c := exchange.Chain{Forward: &Upstream{}}
			c.Serve(without)
			require.Equal(t, Head(without), Head(with))
			require.Equal(t, without.Limit, with.Limit)
		}
	}
}

// free measures the stage alone, after it has seen the request once: what filling an exchange and passing the stage allocate, less
// what filling one does.
func (s Suite) free(t *testing.T) {
	for i, r := range s.Pass {
		st := s.New(t)
		x := r.Exchange()
		fill := func() { r.Fill(x) }
		pass := func() {
			r.Fill(x)
			if st.Inward(x) != exchange.Continue {
				t.Errorf("request %d is stopped when it comes again: %v", i, x.Fault)
			}
			st.Outward(x)
			st.Finish(x, exchange.Complete)
		}
		pass()
		require.Equal(t, testing.AllocsPerRun(100, fill), testing.AllocsPerRun(100, pass), "request %d", i)
	}
}
