package operate

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"crossroads/proxies/telemetry"
)

// Tap adds /tap: finished requests that match the query, live, a JSON line each. See telemetry.ParseTapFilter for what it may ask.
func (a *Admin) Tap(tap *telemetry.Tap) {
	a.mux.HandleFunc("GET /tap", func(w http.ResponseWriter, r *http.Request) {
		f, err := telemetry.ParseTapFilter(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		out := http.NewResponseController(w)
		begun := false
		begin := func() {
			if !begun {
				w.Header().Set("Content-Type", "application/x-ndjson")
				begun = true
			}
		}
		err = tap.Watch(r.Context(), f, func(line []byte) error {
			begin()
			out.SetWriteDeadline(time.Now().Add(5 * time.Second)) // a connection without deadlines would fail in Write too
			if _, err := w.Write(line); err != nil {
				return err
			}
			return out.Flush()
		})
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		case !begun:
			begin()
			w.WriteHeader(http.StatusOK)
		}
	})
}

// FetchTap watches a running proxy by its admin listener and writes the lines as they come.
func FetchTap(ctx context.Context, admin string, query url.Values, to io.Writer) error {
	if _, err := telemetry.ParseTapFilter(query); err != nil {
		return Usage(err)
	}
	at, err := url.Parse(admin)
	if err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return Usage(fmt.Errorf("--admin %s: write it as http://127.0.0.1:4191", admin))
	}
	at = at.JoinPath("tap")
	at.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return fmt.Errorf("watching requests: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return Hint(fmt.Errorf("watching requests: %w", err), "`admin.address` of the sidecar's file says where its admin listener is")
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // a reason that is cut is better than none
		return fmt.Errorf("watching requests: status %d: %s", response.StatusCode, strings.TrimSpace(string(text)))
	}
	if _, err := io.Copy(to, response.Body); err != nil {
		return fmt.Errorf("watching requests: %w", err)
	}
	return nil
}
