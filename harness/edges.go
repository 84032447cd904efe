package harness

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"crossroads/harness/deploy"
	"crossroads/results"
)

// tally reads how many calls failed on each edge of the call graph, from the callers' own counters: they exist in every arm, and count
// what an application sees, whatever stands in between. It reads just before each fault and at the end of the block.
type tally struct {
	deployment deploy.Deployment
	times      []int64 // ns since the block began, sorted
	readings   []reading
}

// reading is the counters at one time, by process. A process that does not answer is missing from it.
type reading map[string]counted

type counted struct {
	pid   int // a process that was started again counts from zero
	edges map[[2]string]edgeCount
}

type edgeCount struct{ ok, failed int64 }

// readAhead is how long before a fault its reading begins, and readTime what a process may take to answer.
const (
	readAhead = 20 * time.Millisecond
	readTime  = 500 * time.Millisecond
)

func newTally(d deploy.Deployment, faults []results.Fault) tally {
	t := tally{deployment: d}
	for _, f := range faults {
		t.times = append(t.times, f.From, f.Next)
	}
	slices.Sort(t.times)
	t.times = slices.Compact(t.times)
	t.readings = make([]reading, len(t.times))
	return t
}

// begin reads at each of the times, on a goroutine of work.
func (t *tally) begin(ctx context.Context, began time.Time, work *sync.WaitGroup) {
	work.Go(func() {
		for i, at := range t.times {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(began.Add(time.Duration(at) - readAhead))):
			}
			t.readings[i] = t.read(ctx)
		}
	})
}

func (t *tally) read(ctx context.Context) reading {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	var mu sync.Mutex
	var all sync.WaitGroup
	now := reading{}
	for _, p := range t.deployment.Processes() {
		if p.Kind != deploy.KindWorkload {
			continue
		}
		all.Go(func() {
			if c, err := readCounts(ctx, p); err == nil {
				mu.Lock()
				defer mu.Unlock()
				now[p.ID] = c
			}
		})
	}
	all.Wait()
	return now
}

// countLine is a line of the workload's metrics, as it writes them.
var countLine = regexp.MustCompile(`^workload_calls_total\{service="([^"]*)",replica="[^"]*",to="([^"]*)",result="([a-z_]+)"\} (\d+)$`)

func readCounts(ctx context.Context, p deploy.Process) (counted, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Admin+"/metrics", nil)
	if err != nil {
		return counted{}, fmt.Errorf("reading the calls of %s: %w", p.ID, err)
	}
	s, err := sideClient.Do(q)
	if err != nil {
		return counted{}, fmt.Errorf("reading the calls of %s: %w", p.ID, err)
	}
	defer s.Body.Close()
	return parseCounts(s.Body, p.PID), nil
}

func parseCounts(text io.Reader, pid int) counted {
	c := counted{pid: pid, edges: map[[2]string]edgeCount{}}
	for lines := bufio.NewScanner(text); lines.Scan(); {
		m := countLine.FindStringSubmatch(lines.Text())
		if m == nil {
			continue
		}
		n, _ := strconv.ParseInt(m[4], 10, 64)
		edge := [2]string{m[1], m[2]}
		count := c.edges[edge]
		if m[3] == "failed" {
			count.failed += n
		} else {
			count.ok += n
		}
		c.edges[edge] = count
	}
	return c
}

// between is what was counted from one time to another, by edge. What a process counted after the first time and before it was killed
// is lost with it.
func (t *tally) between(from, to int64) []results.EdgeToll {
	first, last := t.at(from), t.at(to)
	sums := map[[2]string]edgeCount{}
	for id, after := range last {
		before := first[id]
		for edge, n := range after.edges {
			if before.pid == after.pid {
				n.ok, n.failed = n.ok-before.edges[edge].ok, n.failed-before.edges[edge].failed
			}
			sums[edge] = edgeCount{sums[edge].ok + n.ok, sums[edge].failed + n.failed}
		}
	}
	var all []results.EdgeToll
	for edge, n := range sums {
		all = append(all, results.EdgeToll{Caller: edge[0], Callee: edge[1], OK: n.ok, Failed: n.failed})
	}
	slices.SortFunc(all, func(a, b results.EdgeToll) int {
		return slices.Compare([]string{a.Caller, a.Callee}, []string{b.Caller, b.Callee})
	})
	return all
}

func (t *tally) at(time int64) reading {
	i, found := slices.BinarySearch(t.times, time)
	if !found {
		return nil
	}
	return t.readings[i]
}
