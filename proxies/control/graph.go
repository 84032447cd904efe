package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"crossroads/proxies/graph"
)

// GraphFormats are what the dependency graph can be shown as.
var GraphFormats = []string{"text", "json", "dot", "html"}

// showGraph shows the dependency graph in the format asked for: a browser is shown a page, everybody else JSON.
func (k *Control) showGraph(w http.ResponseWriter, r *http.Request) {
	format := r.URL.Query().Get("format")
	if format == "" {
		format = "json"
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			format = "html"
		}
	}
	d := k.graph.Document(k.options.Now())
	var out bytes.Buffer
	var err error
	kind := "text/plain; charset=utf-8"
	switch format {
	case "json":
		writeJSON(w, http.StatusOK, d)
		return
	case "text":
		err = d.Text(&out)
	case "dot":
		err = d.Dot(&out)
	case "html":
		kind = "text/html; charset=utf-8"
		w.Header().Set("Content-Security-Policy", graph.Policy)
		err = d.Page(&out)
	default:
		http.Error(w, "format: choose "+strings.Join(GraphFormats, ", "), http.StatusBadRequest)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Write(out.Bytes()) // see writeJSON
}

// maxGraph bounds what FetchGraph reads.
const maxGraph = 16 << 20

// FetchGraph asks a running control plane's admin listener for the dependency graph, and writes it.
func FetchGraph(ctx context.Context, admin, format string, to io.Writer) error {
	if !slices.Contains(GraphFormats, format) {
		return fmt.Errorf("--format %s: choose %s", format, strings.Join(GraphFormats, ", "))
	}
	at, err := url.Parse(admin)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return fmt.Errorf("--admin %s: write it as http://127.0.0.1:9990", admin)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	at = at.JoinPath("graph")
	at.RawQuery = "format=" + format
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return fmt.Errorf("asking for the graph: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("asking for the graph: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxGraph))
	if err != nil {
		return fmt.Errorf("asking for the graph: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("asking %s for the graph: status %d: %s", admin, response.StatusCode, strings.TrimSpace(string(text)))
	}
	if format == "json" {
		var indented bytes.Buffer
		if err := json.Indent(&indented, text, "", "  "); err != nil {
			return fmt.Errorf("reading the graph: %w", err)
		}
		text = indented.Bytes()
	}
	_, err = to.Write(text)
	return err
}
