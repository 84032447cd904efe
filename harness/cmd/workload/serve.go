package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// server is what this program can be: a node of the application, or the authorization server.
type server interface {
	Serve(net.Listener) error
	Shutdown(context.Context) error
}

// listenAndServe serves on every address of a list until SIGTERM or SIGINT; what is in flight then has the grace.
func listenAndServe(s server, name, addresses string, grace time.Duration, stdout io.Writer) error {
	listeners, err := listenAll(addresses)
	if err != nil {
		return fmt.Errorf("listen for %s: %w", name, err)
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		fmt.Fprintf(stdout, "workload %s on %s\n", name, l.Addr())
		go func() { ended <- s.Serve(l) }()
	}
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", name, err)
	case <-stop.Done():
	}
	bounded, done := context.WithTimeout(context.Background(), grace)
	defer done()
	// What is still in flight when the grace is over is cut off by the end of the process; that is a normal stop too.
	if err := s.Shutdown(bounded); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop %s: %w", name, err)
	}
	return nil
}

// listenAll opens every address of a list separated by commas, or none.
func listenAll(addresses string) ([]net.Listener, error) {
	var open []net.Listener
	for address := range strings.SplitSeq(addresses, ",") {
		network := "tcp"
		if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
			network, address = "unix", path
		}
		l, err := net.Listen(network, address)
		if err != nil {
			for _, l := range open {
				_ = l.Close()
			}
			return nil, err
		}
		open = append(open, l)
	}
	return open, nil
}
