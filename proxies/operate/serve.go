package operate

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Serve runs a proxy until the process is told to stop: the first SIGTERM or SIGINT ends ctx, which begins the drain; the second
// ends force, which cuts it short. Each SIGHUP calls reload.
func Serve(parent context.Context, run func(ctx, force context.Context) error, reload func()) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	ctx, stop := context.WithCancel(parent)
	defer stop()
	force, cut := context.WithCancel(context.WithoutCancel(parent))
	defer cut()
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			select {
			case <-over:
				return
			case s := <-signals:
				switch {
				case s == syscall.SIGHUP:
					reload()
				case ctx.Err() != nil:
					cut()
				default:
					stop()
				}
			}
		}
	}()
	return run(ctx, force)
}
