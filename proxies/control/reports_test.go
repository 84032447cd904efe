package control

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/discovery"
	"crossroads/proxies/edges"
	"crossroads/proxies/graph"
	"crossroads/proxies/identity"
)

// tell sends a report as a proxy does.
func (r *running) tell(as *identity.Source, body []byte) (int, string) {
	r.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: as.ClientConfig(identity.ControlID(testDomain))}}
	response, err := client.Post("https://"+r.Addresses().Snapshots+edges.Path, "application/json", bytes.NewReader(body))
	require.NoError(r.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(r.t, err)
	return response.StatusCode, string(text)
}

func reportOf(service string, windows ...edges.Window) []byte {
	text, _ := json.Marshal(edges.Report{Format: edges.Format, Service: service, Seconds: 1, Windows: windows}) // strings and numbers: cannot fail
	return text
}

func window(direction, peer string) edges.Window {
	w := edges.Window{Direction: direction, Peer: peer, Requests: 10, Attempts: 10}
	w.Latency.Add(time.Millisecond, 10)
	return w
}

func (r *running) keys() (keys []graph.Key) {
	r.graph.Tick(time.Now())
	for _, e := range r.graph.Document(time.Now()).Edges {
		keys = append(keys, e.Key)
	}
	return keys
}

// TestAReportIsOfItsReporter takes from a report nothing about anybody but the one whose certificate it came with.
func TestAReportIsOfItsReporter(t *testing.T) {
	k := start(t)
	web, db := k.proxy("web"), k.proxy("db")
	status, text := k.tell(web, reportOf("web", window(edges.Outbound, "db"), window(edges.Inbound, "")))
	require.Equal(t, http.StatusOK, status, text)
	var p edges.Pace
	require.NoError(t, json.Unmarshal([]byte(text), &p))
	require.Equal(t, 0.5, p.Every)
	require.True(t, p.Next > 0 && p.Next <= 0.6, "%g", p.Next)
	require.ElementsMatch(t, []graph.Key{{Source: "shop/web", Destination: "db"}, {Source: graph.Outside, Destination: "shop/web"}}, k.keys())

	// To say that one is db does not make it so, and services that nobody listed are not invented.
	status, _ = k.tell(web, reportOf("db", window(edges.Inbound, service("web")), window(edges.Outbound, "nowhere")))
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, k.keys(), graph.Key{Source: "shop/web", Destination: "shop/db"})
	require.Contains(t, k.keys(), graph.Key{Source: "shop/web", Destination: "shop/web"})

	status, _ = k.tell(db, reportOf("", window(edges.Inbound, service("web"))))
	require.Equal(t, http.StatusOK, status)
	e := k.graph.Document(time.Now()).Edges
	require.Len(t, e, 3, "%v", e)
	k.graph.Tick(time.Now())
	for _, e := range k.graph.Document(time.Now()).Edges {
		if e.Destination == "db" {
			require.NotNil(t, e.Inbound, "both sides of the same edge")
		}
	}
}

func TestReportsAreBounded(t *testing.T) {
	k := start(t)
	web := k.proxy("web")
	status, text := k.tell(web, bytes.Repeat([]byte(" "), edges.MaxReport+1))
	require.Equal(t, http.StatusRequestEntityTooLarge, status, text)
	status, _ = k.tell(web, []byte(`{"format":1,"seconds":1,"source":"somebody else"}`))
	require.Equal(t, http.StatusBadRequest, status)
	_, metrics := k.get("/metrics")
	require.Contains(t, metrics, `control_edge_reports_total{result="malformed"} 1`)
	require.Contains(t, metrics, `control_edge_reports_total{result="too_long"} 1`)

	// Without a certificate nobody gets as far as that.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	response, err := client.Post("https://"+k.Addresses().Snapshots+edges.Path, "application/json", bytes.NewReader(reportOf("web")))
	if err == nil {
		response.Body.Close()
	}
	require.Error(t, err)
}

// TestReporter lets a real one speak: its windows arrive, and it keeps to the pace.
func TestReporter(t *testing.T) {
	k := start(t)
	cuts := make(chan time.Time, 100)
	r := discovery.NewReporter(*k.address("all.token"), k.proxy("web"), func(now time.Time) edges.Report {
		cuts <- now
		return edges.Report{Service: "web", Windows: []edges.Window{window(edges.Outbound, "db")}}
	}, nil)
	go r.Run(t.Context())
	eventually(t, "the edge is known", func() bool { return k.graph.Len() == 1 })
	<-cuts
	second, third := <-cuts, <-cuts
	require.Greater(t, third.Sub(second), 250*time.Millisecond)
}

func TestGraphIsShown(t *testing.T) {
	k := start(t)
	k.tell(k.proxy("web"), reportOf("web", window(edges.Outbound, "db")))
	k.keys()
	for format, says := range map[string]string{"": `"source":"shop/web"`, "json": `"destination":"db"`, "text": "no cascade was seen", "dot": `"shop/web" -> "db"`, "html": "<svg"} {
		var out bytes.Buffer
		status, text := k.get("/graph?format=" + format)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, text, says)
		if format == "" {
			continue
		}
		require.NoError(t, FetchGraph(t.Context(), "http://"+k.Addresses().Admin, format, &out))
		require.Contains(t, strings.ReplaceAll(out.String(), `": "`, `":"`), says)
	}
	status, text := k.get("/graph?format=gif")
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "choose text, json, dot, html")
	_, text = k.get("/cascades")
	require.Contains(t, text, `"alarms":[]`)
	require.ErrorContains(t, FetchGraph(t.Context(), "127.0.0.1:9990", "text", io.Discard), "write it as http://")

	request, err := http.NewRequest("GET", "http://"+k.Addresses().Admin+"/graph", nil)
	require.NoError(t, err)
	request.Header.Set("Accept", "text/html,application/xhtml+xml")
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	response.Body.Close()
	require.Contains(t, response.Header.Get("Content-Type"), "text/html", "a browser is shown a page")
	require.Contains(t, response.Header.Get("Content-Security-Policy"), "default-src 'none'")
}

// BenchmarkReport is what the report of a sidecar with eight edges costs the control plane, but for TLS: a thousand sidecars send a
// thousand of them a second.
func BenchmarkReport(b *testing.B) {
	c, _ := prepare(b)
	k, err := New(b.Context(), c, Options{})
	require.NoError(b, err)
	defer k.Close()
	var windows []edges.Window
	for range 8 {
		w := window(edges.Inbound, service("web"))
		for d := time.Millisecond; d < 64*time.Millisecond; d += d / 8 {
			w.Latency.Add(d, 3)
		}
		windows = append(windows, w)
	}
	text := reportOf("db", windows...)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		report, err := edges.Decode(text)
		if err != nil {
			b.Fatal(err)
		}
		k.take(report, service("db"))
	}
}
