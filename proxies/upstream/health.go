package upstream

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/valyala/fasthttp"

	"crossroads/proxies/config"
	"crossroads/proxies/wire"
)

// health is a pure state machine: an endpoint is up until a run of checks fails, and down until a run of them passes.
type health struct {
	toDown, toUp int
	down         bool
	run          int // checks in a row that speak against the state
}

// observe takes in a check and says whether the state changed.
func (h *health) observe(passed bool) (changed bool) {
	if passed != h.down {
		h.run = 0
		return false
	}
	h.run++
	if h.down && h.run < h.toUp || !h.down && h.run < h.toDown {
		return false
	}
	h.down, h.run = !h.down, 0
	return true
}

// checkJitter spreads the checks of many proxies: an interval is up to this share longer or shorter.
const checkJitter = 0.1

func spread(interval time.Duration, r float64) time.Duration {
	return time.Duration(float64(interval) * (1 - checkJitter + 2*checkJitter*r))
}

// watch checks an endpoint until stop is closed. The first check comes somewhere within the first interval, so that a proxy that
// starts does not ask all endpoints at once.
func (e *endpoint) watch(c config.Health, stop <-chan struct{}) {
	state := health{toDown: c.Down, toUp: c.Up}
	timer := time.NewTimer(time.Duration(rand.Float64() * float64(c.Interval.D())))
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		passed := e.check(c)
		word := "passed"
		if !passed {
			word = "failed"
		}
		e.up.observer.Checked(e.up.name, word)
		if state.observe(passed) {
			e.down.Store(state.down)
			e.up.reassess()
		}
		timer.Reset(spread(c.Interval.D(), rand.Float64()))
	}
}

// check asks the endpoint once, on a connection of its own: that it still accepts one is part of the question.
func (e *endpoint) check(c config.Health) bool {
	ctx, cancel := context.WithTimeout(context.Background(), c.Timeout.D())
	defer cancel()
	sock, _, err := e.open(ctx)
	if err != nil {
		return false
	}
	conn := wire.NewConn(sock)
	defer conn.Free()
	if until, ok := ctx.Deadline(); ok { // the sweep of coarse deadlines would be up to wire.Step late
		_ = sock.SetDeadline(until)
	}
	host := c.Host
	if host == "" {
		host = e.host
	}
	head := "GET " + c.Path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: crossroads-health\r\nConnection: close\r\n\r\n"
	if _, err := conn.Write([]byte(head)); err != nil {
		return false
	}
	var h fasthttp.ResponseHeader
	var response wire.Response
	for range maxInterim {
		if err := conn.ReadResponse(&h, &response, false, maxResponseHead); err != nil {
			return false
		}
		if response.Status >= 200 {
			return response.Status < 300
		}
	}
	return false
}
