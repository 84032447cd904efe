package graph

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/edges"
)

// reported is a graph that was told the same window of these edges, over and over.
func reported(ticks int, keys ...Key) *Graph {
	g := New(Options{Window: time.Second})
	for i := range ticks {
		now := epoch.Add(time.Duration(i) * time.Second)
		for _, k := range keys {
			w := edges.Window{Direction: edges.Outbound, Requests: 10, Attempts: 11, Passed: 1, Total: 0.02, Endpoints: 2}
			w.Latency.Add(2*time.Millisecond, 10)
			g.Add(k, "one", &w, now)
			w.Direction = edges.Inbound
			g.Add(k, "two", &w, now)
		}
		g.Tick(now.Add(time.Second / 2))
	}
	return g
}

func TestDocumentAddsUpWindows(t *testing.T) {
	g := reported(5, Key{"a", "b"}, Key{"b", "c"}, Key{"a", "c"}, Key{"c", "b"})
	d := g.Document(epoch)
	require.Equal(t, 5.0, d.Seconds)
	require.Len(t, d.Edges, 4)
	e := d.Edges[0]
	require.Equal(t, Key{"a", "b"}, e.Key)
	require.Equal(t, "outbound", e.Side)
	require.InDelta(t, 10, e.Rate, 1e-9)
	require.InDelta(t, 0.1, e.Errors, 1e-9)
	require.InDelta(t, 1.1, e.Attempts, 1e-9)
	require.InDelta(t, 2000, e.P50, 300)
	require.NotNil(t, e.Inbound)
	require.Equal(t, []Node{{"a", 0, 20}, {"b", 1, 20}, {"c", 2, 20}}, d.Nodes, "the call that leads back moves nobody")
}

func TestEdgesAreForgotten(t *testing.T) {
	g := New(Options{Keep: 5 * time.Second})
	w := edges.Window{Direction: edges.Outbound, Requests: 1}
	require.True(t, g.Add(Key{"a", "b"}, "", &w, epoch))
	g.Tick(epoch.Add(4 * time.Second))
	require.Equal(t, 1, g.Len())
	g.Tick(epoch.Add(6 * time.Second))
	require.Zero(t, g.Len())
	for i := range maxEdges + 3 {
		g.Add(Key{"a", fmt.Sprint(i)}, "", &w, epoch)
	}
	require.Equal(t, maxEdges, g.Len())
	require.EqualValues(t, 3, g.Dropped())
}

// TestUnderWayIsTheLastWordOfEach takes two reports of one reporter in a window for what they are.
func TestUnderWayIsTheLastWordOfEach(t *testing.T) {
	g := New(Options{})
	k := Key{"a", "b"}
	add := func(instance string, n int64) {
		g.Add(k, instance, &edges.Window{Direction: edges.Outbound, Requests: 1, InFlight: n}, epoch)
	}
	add("one", 7)
	add("one", 3)
	add("two", 5)
	g.Tick(epoch)
	require.EqualValues(t, 8, g.Document(epoch).Edges[0].InFlight)
	for range 4 {
		g.Tick(epoch)
	}
	require.Zero(t, g.Document(epoch).Edges[0].InFlight, "who is silent has nothing under way any more")
}

// TestNamesAreEscaped shows a node whose name means something to each format.
func TestNamesAreEscaped(t *testing.T) {
	evil := `<script>"a\b"</script>`
	d := reported(3, Key{"web", evil}).Document(epoch)
	var page, dot, text bytes.Buffer
	require.NoError(t, d.Page(&page))
	require.NotContains(t, page.String(), "<script")
	require.Contains(t, page.String(), "&lt;script&gt;")
	require.NoError(t, d.Dot(&dot))
	require.Contains(t, dot.String(), `"web" -> "<script>\"a\\b\"</script>"`)
	require.NoError(t, d.Text(&text))
	require.Contains(t, text.String(), "10.0/s")
}

// TestPageIsWhole finds a well-formed drawing with every node and edge, nothing to load and no script.
func TestPageIsWhole(t *testing.T) {
	d := reported(3, Key{Outside, "web"}, Key{"web", "orders"}, Key{"orders", "stock"}, Key{"web", "stock"}).Document(epoch)
	d.Edges[0].State, d.Edges[0].Root = "errors", true
	d.Alarms = []Alarm{{ID: 1, Root: d.Edges[0].Key, Kind: "errors", Onset: epoch, Raised: epoch.Add(1200 * time.Millisecond), Confidence: 1}}
	var out bytes.Buffer
	require.NoError(t, d.Page(&out))
	page := out.String()
	svg := regexp.MustCompile(`(?s)<svg.*</svg>`).FindString(page)
	decoder := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := decoder.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
	}
	require.Equal(t, 4, strings.Count(svg, "<rect"))
	require.Equal(t, 4, strings.Count(svg, "<title>")-4)
	require.NotContains(t, page, "<script")
	require.NotContains(t, page, "http://")
	require.NotContains(t, page, "https://")
	require.Contains(t, page, "noticed 1.2s later")
	_, err := json.Marshal(d)
	require.NoError(t, err)
}

// BenchmarkTick judges the windows of a thousand edges, of which one in ten is troubled.
func BenchmarkTick(b *testing.B) {
	d := NewDetector(Rules{})
	step := 0
	for b.Loop() {
		window := map[Key]Pair{}
		for i := range 1000 {
			w := Stats{Reports: 1, Requests: 100, Attempts: 100, Total: 0.2}
			w.Latency.Add(2*time.Millisecond, 100)
			if step > 5 && i%10 == 0 {
				w.Passed = 50
			}
			window[Key{fmt.Sprint("s", i/5), fmt.Sprint("s", i/5+1+i%5)}] = Pair{Out: w, In: w}
		}
		step++
		d.Step(epoch.Add(time.Duration(step)*time.Second), window)
	}
}
