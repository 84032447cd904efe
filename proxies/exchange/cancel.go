package exchange

import "sync/atomic"

// Canceller lets another goroutine end the wait of whoever serves an exchange: a listener that is shut down owns one per connection.
// The zero value is ready; a nil one never cancels.
type Canceller struct {
	wait atomic.Pointer[func()]
	over atomic.Bool
}

// Waiting registers what ends the wait under way; nil: nothing waits. It is called by the goroutine that serves the exchange, and
// end at most a few times by another, perhaps just after the wait was over.
func (c *Canceller) Waiting(end *func()) {
	if c == nil {
		return
	}
	c.wait.Store(end)
	if end != nil && c.over.Load() {
		(*end)()
	}
}

// Over says whether Cancel was called.
func (c *Canceller) Over() bool { return c.over.Load() }

// Cancel ends the wait, and every later one.
func (c *Canceller) Cancel() {
	c.over.Store(true)
	if end := c.wait.Load(); end != nil {
		(*end)()
	}
}
