package operate

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/config"
)

// fake serves until it is shut down, or fails at once.
type fake struct {
	fails error
	order chan<- string
	name  string
	ended chan struct{}
}

func (f *fake) Serve(net.Listener) error {
	if f.fails != nil {
		return f.fails
	}
	<-f.ended
	return errors.New("was shut down")
}

func (f *fake) Shutdown(context.Context) error {
	f.order <- f.name
	close(f.ended)
	return nil
}

func runFakes(t *testing.T, ctx context.Context, fakes ...*fake) ([]string, error) {
	admin, err := NewAdmin("127.0.0.1:0", http.NotFoundHandler(), func() error { return nil })
	require.NoError(t, err)
	order := make(chan string, len(fakes))
	var groups [][]Front
	for _, f := range fakes {
		f.order, f.ended = order, make(chan struct{})
		groups = append(groups, []Front{{Server: f}})
	}
	besides := make(chan struct{})
	var life Life
	err = life.Run(ctx, context.Background(), func() config.Drain { return config.Drain{} }, admin,
		[]Background{func(ctx context.Context) { <-ctx.Done(); close(besides) }}, groups...)
	<-besides // Run waited for it
	require.ErrorIs(t, life.Ready(), ErrStopping)
	close(order)
	var names []string
	for name := range order {
		names = append(names, name)
	}
	return names, err
}

func TestRunDrainsGroupsInOrder(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	order, err := runFakes(t, ctx, &fake{name: "inbound"}, &fake{name: "outbound"})
	require.NoError(t, err, "whoever is shut down may say so")
	require.Equal(t, []string{"inbound", "outbound"}, order)
}

func TestRunEndsWithAFrontThatFails(t *testing.T) {
	broken := errors.New("no more descriptors")
	_, err := runFakes(t, t.Context(), &fake{name: "good"}, &fake{name: "bad", fails: broken})
	require.ErrorIs(t, err, broken)
}
