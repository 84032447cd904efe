package conformance

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pipe is a proxy that looks at nothing: every client connection becomes one to the origin.
func pipe(t *testing.T, origin string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			down, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer down.Close()
				up, err := net.Dial("tcp", origin)
				if err != nil {
					return
				}
				defer up.Close()
				go func() {
					_, _ = io.Copy(up, down)
					_ = up.(*net.TCPConn).CloseWrite()
				}()
				_, _ = io.Copy(down, up)
			}()
		}
	}()
	return l.Addr().String()
}

// A suite that a careless proxy passes would prove nothing.
func TestCarelessProxyFails(t *testing.T) {
	o, err := NewOrigin("127.0.0.1:0")
	require.NoError(t, err)
	defer o.Close()
	address := pipe(t, o.Address)
	for id, unsafe := range map[string]string{
		"cl-dup-same":            "forwarded with a wrong Content-Length",
		"te-hidden-by-obs-fold":  "forwarded with a wrong folded line",
		"path-plain":             "the deny rule was passed: /admin",
		"spoof-xff-list":         "check xff_untrusted",
		"hop-drop-multi":         "check no_x_drop",
		"spoof-dot-alias":        "check dot_alias_untrusted",
		"spoof-orig-dst":         "check control_hdr_untrusted",
		"hop-close-then-request": "2 requests reached the origin, at most 1 may",
		"sl-garbage":             "",
		"up-101-unasked":         "",
	} {
		found, err := Run(t.Context(), Options{Address: address, Origin: o, Only: id, Timeout: 300 * time.Millisecond})
		require.NoError(t, err)
		require.Equal(t, id, found[0].ID)
		require.Contains(t, found[0].Unsafe, unsafe, id)
		require.False(t, found[0].Right || found[0].Strict, id)
	}
}

// Every case says what it expects in words that the judge knows, and no two have one name.
func TestCasesAreWhole(t *testing.T) {
	requests, err := Requests()
	require.NoError(t, err)
	words := []string{"accept", "reject", "either"}
	levels := []string{"MUST", "SHOULD", "MAY", "policy"}
	names := map[string]bool{}
	for _, c := range requests {
		require.False(t, names[c.ID], c.ID)
		names[c.ID] = true
		require.Contains(t, words, c.Expect, c.ID)
		require.Contains(t, words, c.Prefer, c.ID)
		require.Contains(t, levels, c.Level, c.ID)
		require.Contains(t, checks, c.Check, c.ID)
		require.NotEmpty(t, c.Raw, c.ID)
		require.NotEmpty(t, c.Why, c.ID)
		require.NotEmpty(t, c.Category, c.ID)
	}
	responses, err := responseCases()
	require.NoError(t, err)
	for _, c := range responses {
		require.False(t, names["response "+c.ID], c.ID)
		names["response "+c.ID] = true
		require.Contains(t, []string{"502", "pass"}, c.Expect, c.ID)
		require.Contains(t, []string{"", "502", "pass"}, c.Alt, c.ID)
		require.Contains(t, []string{"keep", "fin", "rst"}, c.End, c.ID)
		require.Contains(t, []string{"GET", "HEAD", "POST"}, c.Method, c.ID)
	}
}

func TestTableNamesWhatIsNotStrict(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, Table(&b, []Outcome{
		{ID: "a", Category: "x", Level: "MUST", Right: true, Strict: true},
		{ID: "b", Category: "x", Level: "MUST", Unsafe: "why", Saw: "answered [200]", Why: "because"},
		{ID: "c", Category: "x", Level: "MAY", Right: true, Response: true},
	}))
	require.Regexp(t, `(?m)^all requests +2 +1/2 +1 +1 +1$`, b.String())
	require.Regexp(t, `(?m)^all responses +1 +0/0 +1 +0 +1$`, b.String())
	require.Contains(t, b.String(), "b (MUST): UNSAFE: why; answered [200]; because")
	require.Contains(t, b.String(), "c (MAY): not strict")
	require.NotContains(t, b.String(), "a (MUST)")
}

// FuzzJudge looks for bytes of an origin that the judge cannot read.
func FuzzJudge(f *testing.F) {
	f.Add("GET /t HTTP/1.1\r\nHost: gw.test\r\n\r\n", "xff_untrusted")
	f.Add("\r\n\r\n", "trailer_not_merged")
	f.Fuzz(func(t *testing.T, head, check string) {
		c := Request{Check: check, MaxBackend: 1}
		seen := Forwarded{Head: head}
		if c.Judge(Visit{Seen: []Forwarded{seen}}) == "" {
			require.Len(t, seen.All("Host"), 1)
			require.False(t, Forbidden(seen.Path()))
		}
	})
}
