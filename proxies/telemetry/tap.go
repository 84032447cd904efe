package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"crossroads/proxies/exchange"
)

// Bounds of a tap.
const (
	maxWatchers = 4
	tapRate     = 200    // lines a second for one watcher; what is more is counted and left out
	tapMax      = 10_000 // lines for one watcher
	tapFor      = 10 * time.Minute
	tapQueue    = 256
)

// Tap shows finished exchanges to whoever watches, as lines of the access log: never a body, a query or a field's value. Where nobody
// watches it costs the reading of a pointer. The zero value is ready.
type Tap struct {
	watchers atomic.Pointer[[]*watcher]
	mu       sync.Mutex
}

// TapFilter says what is watched; zero values match everything.
type TapFilter struct {
	Path   string // prefix
	Method string
	Status string // 503 or 5xx
	Chain  string // inbound | outbound | ingress | transparent
	Max    int    // lines
	For    time.Duration
}

// ParseTapFilter reads a filter from a query: path, method, status, direction, max, for. What it does not know is an error.
func ParseTapFilter(q url.Values) (f TapFilter, err error) {
	f = TapFilter{Max: 100, For: 10 * time.Second}
	for name, values := range q {
		v := values[0]
		switch name {
		case "path":
			f.Path = v
		case "method":
			f.Method = strings.ToUpper(v)
		case "status":
			if !tapStatus(v) {
				return f, fmt.Errorf("status %q: write it like 503, or like 5xx", v)
			}
			f.Status = v
		case "direction":
			if !slices.Contains([]string{"inbound", "outbound", "ingress", "transparent"}, v) {
				return f, fmt.Errorf("direction %q: choose inbound, outbound, ingress or transparent", v)
			}
			f.Chain = v
		case "max":
			if f.Max, err = strconv.Atoi(v); err != nil || f.Max < 1 || f.Max > tapMax {
				return f, fmt.Errorf("max %q: write a number from 1 to %d", v, tapMax)
			}
		case "for":
			if f.For, err = time.ParseDuration(v); err != nil || f.For <= 0 || f.For > tapFor {
				return f, fmt.Errorf("for %q: write a time up to %s, such as 10s", v, tapFor)
			}
		default:
			return f, fmt.Errorf("%q is nothing that a tap knows: path, method, status, direction, max, for", name)
		}
	}
	return f, nil
}

func tapStatus(s string) bool {
	if len(s) != 3 || s[0] < '1' || s[0] > '5' {
		return false
	}
	_, err := strconv.Atoi(s)
	return err == nil || s[1:] == "xx"
}

func (f *TapFilter) matches(chain string, x *exchange.Exchange) bool {
	switch {
	case f.Chain != "" && f.Chain != chain,
		f.Method != "" && f.Method != string(x.Request.Header.Method()),
		!bytes.HasPrefix(x.Path, []byte(f.Path)):
		return false
	}
	if f.Status == "" {
		return true
	}
	var code [8]byte
	is := strconv.AppendInt(code[:0], int64(x.Response.StatusCode()), 10)
	return len(is) == 3 && is[0] == f.Status[0] && (f.Status[1:] == "xx" || string(is[1:]) == f.Status[1:])
}

// watcher is one who watches.
type watcher struct {
	filter  TapFilter
	lines   chan []byte
	dropped atomic.Int64
	second  atomic.Int64 // the second that passed counts for
	passed  atomic.Int64
}

// Watched says whether anybody watches.
func (t *Tap) Watched() bool { return t.watchers.Load() != nil }

// Offer shows a finished exchange to those whose filter it matches. It never waits.
func (t *Tap) Offer(chain string, x *exchange.Exchange, end exchange.End, took time.Duration) {
	all := t.watchers.Load()
	if all == nil {
		return
	}
	for _, w := range *all {
		if w.filter.matches(chain, x) {
			w.take(chain, x, end, took)
		}
	}
}

func (w *watcher) take(chain string, x *exchange.Exchange, end exchange.End, took time.Duration) {
	if now := time.Now().Unix(); w.second.Swap(now) != now {
		w.passed.Store(0)
	}
	if w.passed.Add(1) > tapRate {
		w.dropped.Add(1)
		return
	}
	select {
	case w.lines <- AppendLine(nil, chain, x, end, took, nil):
	default:
		w.dropped.Add(1)
	}
}

// Watch writes what matches, a line each, until ctx ends, the filter's time is over, its number is reached or write fails. The last
// line says how many were left out, if any were.
func (t *Tap) Watch(ctx context.Context, f TapFilter, write func(line []byte) error) error {
	w := &watcher{filter: f, lines: make(chan []byte, tapQueue)}
	if !t.add(w) {
		return fmt.Errorf("%d watch already: that is as many as may", maxWatchers)
	}
	defer t.remove(w)
	over := time.NewTimer(f.For)
	defer over.Stop()
	for n := 0; n < f.Max; {
		select {
		case line := <-w.lines:
			if err := write(line); err != nil {
				return nil // whoever watched is gone
			}
			n++
		case <-over.C:
			n = f.Max
		case <-ctx.Done():
			return nil
		}
	}
	if d := w.dropped.Load(); d > 0 {
		_ = write(fmt.Appendf(nil, "{\"left_out\":%d}\n", d)) // whoever watched may be gone
	}
	return nil
}

func (t *Tap) add(w *watcher) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*watcher
	if known := t.watchers.Load(); known != nil {
		all = slices.Clone(*known)
	}
	if len(all) >= maxWatchers {
		return false
	}
	all = append(all, w)
	t.watchers.Store(&all)
	return true
}

func (t *Tap) remove(w *watcher) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(*t.watchers.Load()), func(o *watcher) bool { return o == w })
	if len(all) == 0 {
		t.watchers.Store(nil)
		return
	}
	t.watchers.Store(&all)
}
