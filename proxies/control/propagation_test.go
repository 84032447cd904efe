package control

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
	"crossroads/proxies/discovery"
)

// fleet is many proxies of one control plane; applied receives what each came to know, with the moment.
type fleet struct {
	*running
	size    int
	applied chan knowledge
}

type knowledge struct {
	version uint64
	at      time.Time
}

func newFleet(t testing.TB, size int) *fleet {
	f := &fleet{running: start(t), size: size, applied: make(chan knowledge, 4*size)}
	source := f.proxy("web")
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	for range size {
		client := discovery.New(*f.address("all.token"), source, func(s discovery.Snapshot) {
			f.applied <- knowledge{s.Version, time.Now()}
		}, discovery.Options{})
		go client.Run(ctx)
	}
	newest, _ := f.catalog.current()
	f.know(t, newest.snapshot.Version)
	return f
}

// know waits until every proxy has a version, and returns when each had it.
func (f *fleet) know(t testing.TB, version uint64) []time.Time {
	t.Helper()
	var times []time.Time
	for len(times) < f.size {
		select {
		case k := <-f.applied:
			require.Equal(t, version, k.version)
			times = append(times, k.at)
		case <-time.After(time.Minute):
			t.Fatalf("%d of %d proxies know version %d", len(times), f.size, version)
		}
	}
	return times
}

// publish changes one endpoint of as many services as given, and returns the new version.
func (f *fleet) publish(t testing.TB, services, change int) (version uint64, since time.Time) {
	t.Helper()
	next := map[string]discovery.Service{}
	for i := range services {
		next[fmt.Sprintf("service-%d", i)] = discovery.Service{Protocol: "http", Endpoints: []config.Endpoint{
			{Address: fmt.Sprintf("10.0.%d.%d:80", i%256, change%256), Weight: 1, Identity: service("db")}}}
	}
	since = time.Now()
	require.NoError(t, f.catalog.setServices(next, nil, nil))
	newest, _ := f.catalog.current()
	return newest.snapshot.Version, since
}

// TestEveryProxyLearnsEveryVersion, and none hears of it twice.
func TestEveryProxyLearnsEveryVersion(t *testing.T) {
	f := newFleet(t, 40)
	for change := range 5 {
		version, _ := f.publish(t, 10, change)
		f.know(t, version)
	}
	require.Empty(t, f.applied)
}

// BenchmarkPropagation tells 1,000 proxies, in this process, of a change among 100 services: the time until half, 99 of 100 and all of
// them have put it into force, and the memory of one proxy's stream, both ends together.
func BenchmarkPropagation(b *testing.B) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f := newFleet(b, 1000)
	runtime.GC()
	runtime.ReadMemStats(&after)
	var took []time.Duration
	change := 0
	for b.Loop() {
		change++
		version, since := f.publish(b, 100, change)
		for _, at := range f.know(b, version) {
			took = append(took, at.Sub(since))
		}
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
	b.ReportMetric(took[len(took)-1].Seconds()*1e3, "max-ms")
	b.ReportMetric(float64(after.HeapInuse-before.HeapInuse+after.StackInuse-before.StackInuse)/1024/1000, "KiB/stream")
}
