package load

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// secured serves by TLS, and says whom its clients have to believe.
func secured(t *testing.T, version uint16, handler http.HandlerFunc) (url, roots string) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{MaxVersion: version}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

// TestTLS: requests and answers of more than a record, both versions, and not a handshake more than there are connections.
func TestTLS(t *testing.T) {
	answer := strings.Repeat("a", 300<<10)
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			url, roots := secured(t, version, func(w http.ResponseWriter, r *http.Request) {
				n, _ := io.Copy(io.Discard, r.Body)
				if r.TLS.Version != version || r.Method == "POST" && n != 3<<20 {
					w.WriteHeader(http.StatusTeapot)
				}
				_, _ = io.WriteString(w, answer)
			})
			eachDriver(t, func(t *testing.T, d Driver) {
				to := target(url, 3)
				to.Roots, to.Timeout = roots, 30*time.Second
				to.Requests = append(to.Requests, Request{Method: "POST", Path: "/", Body: make([]byte, 3<<20)})
				s := every(2*time.Millisecond, 40)
				s[7].Request, s[20].Request = 1, 1
				for _, x := range driveWith(t, d, to, s) {
					require.NoError(t, x.Err)
					require.Equal(t, http.StatusOK, x.Status)
					require.EqualValues(t, len(answer), x.Bytes)
				}
				if _, native := d.(*Native); native {
					require.EqualValues(t, 3, d.Effort().Dials)
				}
			})
		})
	}
}

// TestTLSConnectionsThatEnd are opened again with a handshake of their own, while others are under way.
func TestTLSConnectionsThatEnd(t *testing.T) {
	url, roots := secured(t, tls.VersionTLS13, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	eachDriver(t, func(t *testing.T, d Driver) {
		to := target(url, 2)
		to.Roots, to.Timeout = roots, 30*time.Second
		for _, x := range driveWith(t, d, to, every(time.Millisecond, 30)) {
			require.NoError(t, x.Err)
		}
		require.GreaterOrEqual(t, d.Effort().Dials, int64(30))
	})
}

// TestStrangersAreNotTrusted: a target whose certificate is of no authority that is believed in, here the system's, is sent nothing.
func TestStrangersAreNotTrusted(t *testing.T) {
	var asked atomic.Int64
	url, _ := secured(t, tls.VersionTLS13, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	eachDriver(t, func(t *testing.T, d Driver) {
		for _, x := range driveWith(t, d, target(url, 2), every(time.Millisecond, 10)) {
			require.Error(t, x.Err)
			require.Zero(t, x.Status)
		}
		require.Zero(t, asked.Load())
	})
}

// TestSilentHandshakes: a target that takes connections and says nothing costs its requests their timeout, and no more.
func TestSilentHandshakes(t *testing.T) {
	url := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	to := target(strings.Replace(url, "http://", "https://", 1), 1)
	to.Timeout = 50 * time.Millisecond
	for _, x := range driveWith(t, &Native{Pacing: Precise}, to, every(time.Millisecond, 3)) {
		require.Equal(t, ErrTimeout, x.Err)
	}
}
