package jose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// SourceOptions say where a key set comes from; exactly one of File and URL is set.
type SourceOptions struct {
	File, URL  string
	Algorithms []string
	Roots      *x509.CertPool // for URL; nil: the system's
	Fresh      time.Duration  // how long a set is used without asking again
	Refetch    time.Duration  // least time between two fetches, whatever asks for them
	Timeout    time.Duration  // of one fetch
	Now        func() time.Time
	Fetched    func(err error) // told of every fetch; may be nil
}

// Source keeps a key set up to date. It asks again when the set is older than Fresh (in the background, with the old set in use), and
// when a token names an unknown key: one fetch at a time, and none sooner than Refetch after the one before, whatever clients send.
// While it cannot be read, the keys that it had stay good.
type Source struct {
	o       SourceOptions
	client  *http.Client
	current atomic.Pointer[Set]
	due     atomic.Int64 // unix nanoseconds: when the set is no longer fresh

	mu    sync.Mutex
	under *fetch    // under way; nil: none
	next  time.Time // no fetch begins sooner
}

// fetch is one fetch under way; done is closed at its end.
type fetch struct{ done chan struct{} }

// maxSet bounds a key set, in bytes.
const maxSet = 256 << 10

// firstRetry is the pause after a failed fetch as long as there are no keys at all: the source may start later than its readers.
const firstRetry = time.Second

// NewSource makes a source. A file is read at once, and must be readable; a URL is asked in the background.
func NewSource(o SourceOptions) (*Source, error) {
	s := &Source{o: o}
	if o.File != "" {
		return s, s.load(context.Background())
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // keys come from where the configuration says
	transport.TLSClientConfig = &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12}
	transport.MaxIdleConnsPerHost, transport.IdleConnTimeout = 1, 30*time.Second
	s.client = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.begin()
	return s, nil
}

// Set returns the keys in force; nil: there have never been any. It never waits.
func (s *Source) Set() *Set {
	if s.o.Now().UnixNano() >= s.due.Load() {
		s.begin()
	}
	return s.current.Load()
}

// Find returns the keys in force after having asked the source again, if that is allowed now, for a key that they do not hold. It
// waits for a fetch, its own or another's, and at most as long as one may take.
func (s *Source) Find(keyID string) *Set {
	set := s.Set()
	if set != nil && set.knows(keyID) {
		return set
	}
	if f := s.begin(); f != nil {
		<-f.done
	}
	return s.current.Load()
}

func (s *Set) knows(id string) bool {
	for at := range s.keys {
		if at.id == id {
			return true
		}
	}
	return false
}

// Refresh asks the source again at once, unless a fetch is under way. It does not wait.
func (s *Source) Refresh() {
	s.mu.Lock()
	s.next = time.Time{}
	s.mu.Unlock()
	s.begin()
}

// begin returns the fetch under way, after having begun one if that is allowed; nil: it is not.
func (s *Source) begin() *fetch {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	if s.under != nil || now.Before(s.next) {
		return s.under
	}
	f := &fetch{done: make(chan struct{})}
	s.under, s.next = f, now.Add(s.o.Refetch)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.o.Timeout)
		defer cancel()
		err := s.load(ctx)
		s.mu.Lock()
		if err != nil && s.current.Load() == nil {
			s.next = s.o.Now().Add(min(firstRetry, s.o.Refetch))
		}
		s.under = nil
		s.mu.Unlock()
		close(f.done)
	}()
	return f
}

// load reads the source and puts its keys in force. The same text stays the same set, so that what was verified with it stays
// verified.
func (s *Source) load(ctx context.Context) (err error) {
	defer func() {
		if s.o.Fetched != nil {
			s.o.Fetched(err)
		}
	}()
	data, err := s.read(ctx)
	if err != nil {
		return err
	}
	if old := s.current.Load(); old == nil || old.data != string(data) {
		set, err := ParseSet(data, s.o.Algorithms, s.o.File != "")
		if err != nil {
			return err
		}
		s.current.Store(set)
	}
	s.due.Store(s.o.Now().Add(s.o.Fresh).UnixNano())
	return nil
}

func (s *Source) read(ctx context.Context) ([]byte, error) {
	if s.o.File != "" {
		data, err := os.ReadFile(s.o.File)
		if err != nil {
			return nil, fmt.Errorf("read the key set: %w", err)
		}
		return data, nil
	}
	data, err := s.get(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetch the key set: %w", err)
	}
	return data, nil
}

func (s *Source) get(ctx context.Context) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.o.URL, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxSet+1))
	if err == nil && len(data) > maxSet {
		err = errors.New("it is longer than 256 KiB")
	}
	return data, err
}
