package jose_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/jose"
)

// origin serves a key set that a test can change, and counts.
type origin struct {
	*httptest.Server
	fetches atomic.Int64
	body    atomic.Value // string; "" answers 500
	gate    chan struct{}
}

func newOrigin(t *testing.T) *origin {
	o := &origin{}
	o.body.Store("")
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		o.fetches.Add(1)
		if o.gate != nil {
			<-o.gate
		}
		body := o.body.Load().(string)
		switch {
		case body == "":
			w.WriteHeader(http.StatusInternalServerError)
		case strings.HasPrefix(body, "/"):
			w.Header().Set("Location", body)
			w.WriteHeader(http.StatusFound)
		default:
			fmt.Fprint(w, body)
		}
	}))
	t.Cleanup(o.Close)
	return o
}

// clock is moved by hand.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time          { return time.Unix(1_000_000, c.at.Load()) }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func (c *clock) options(url string) jose.SourceOptions {
	return jose.SourceOptions{URL: url, Algorithms: []string{"ES256"}, Fresh: 300 * time.Second, Refetch: 10 * time.Second,
		Timeout: 5 * time.Second, Now: c.now}
}

func setOf(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func TestSourceRotatesWithinOneFetchAndWithoutABurst(t *testing.T) {
	o, c := newOrigin(t), &clock{}
	_, first := signer(t, `,"kid":"one"`)
	_, second := signer(t, `,"kid":"two"`)
	o.body.Store(setOf(first))
	s, err := jose.NewSource(c.options(o.URL))
	require.NoError(t, err)
	require.Equal(t, 1, s.Find("one").Len())
	require.EqualValues(t, 1, o.fetches.Load(), "what the start began is waited for, not repeated")

	o.body.Store(setOf(first, second))
	for range 100 {
		require.Equal(t, 1, s.Find("two").Len(), "so soon after a fetch there is none")
	}
	require.EqualValues(t, 1, o.fetches.Load())
	c.advance(10 * time.Second)
	o.gate = make(chan struct{})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if n := s.Find("two").Len(); n != 2 {
				t.Errorf("%d keys", n)
			}
		})
	}
	require.Eventually(t, func() bool { return o.fetches.Load() == 2 }, 5*time.Second, time.Millisecond)
	close(o.gate)
	all.Wait()
	for range 100 {
		s.Find("invented")
	}
	require.EqualValues(t, 2, o.fetches.Load(), "fifty that wait and a hundred that invent keys cost one fetch")
}

func TestSourceServesStaleKeysWhileItIsDown(t *testing.T) {
	o, c := newOrigin(t), &clock{}
	_, jwk := signer(t, `,"kid":"one"`)
	o.body.Store(setOf(jwk))
	var good, bad atomic.Int64
	options := c.options(o.URL)
	options.Fetched = func(err error) {
		if err == nil {
			good.Add(1)
		} else {
			bad.Add(1)
		}
	}
	s, err := jose.NewSource(options)
	require.NoError(t, err)
	before := s.Find("one")
	for _, broken := range []string{"", "{}", setOf(), "/elsewhere", strings.Repeat(" ", 300<<10)} {
		o.body.Store(broken)
		c.advance(time.Hour)
		failed := bad.Load()
		require.Same(t, before, s.Set(), "asking never waits")
		require.Eventually(t, func() bool { return bad.Load() == failed+1 }, 5*time.Second, time.Millisecond)
		require.Same(t, before, s.Find("one"))
	}
	o.body.Store(setOf(jwk))
	c.advance(time.Hour)
	s.Set()
	require.Eventually(t, func() bool { return good.Load() == 2 }, 5*time.Second, time.Millisecond)
	require.Same(t, before, s.Set(), "the same text is the same set")
	require.EqualValues(t, 7, o.fetches.Load())
}

func TestSourceThatStartsLate(t *testing.T) {
	o, c := newOrigin(t), &clock{}
	s, err := jose.NewSource(c.options(o.URL))
	require.NoError(t, err)
	require.Nil(t, s.Find("one"))
	require.Nil(t, s.Find("one"))
	require.EqualValues(t, 1, o.fetches.Load())
	_, jwk := signer(t, `,"kid":"one"`)
	o.body.Store(setOf(jwk))
	c.advance(time.Second)
	require.Equal(t, 1, s.Find("one").Len(), "without any keys it is asked again soon")
}

func TestSourceFromAFile(t *testing.T) {
	c := &clock{}
	file := filepath.Join(t.TempDir(), "jwks.json")
	options := c.options("")
	options.File = file
	_, err := jose.NewSource(options)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, first := signer(t, `,"kid":"one"`)
	_, second := signer(t, `,"kid":"two"`)
	require.NoError(t, os.WriteFile(file, []byte(setOf(first)), 0o600))
	fetched := make(chan error, 10)
	options.Fetched = func(err error) { fetched <- err }
	s, err := jose.NewSource(options)
	require.NoError(t, err)
	require.NoError(t, <-fetched)
	require.NoError(t, os.WriteFile(file, []byte(setOf(first, second)), 0o600))
	require.Equal(t, 2, s.Find("two").Len())
	require.NoError(t, <-fetched)
	require.NoError(t, os.Remove(file))
	s.Refresh()
	require.True(t, errors.Is(<-fetched, os.ErrNotExist))
	require.Equal(t, 2, s.Set().Len())
}
