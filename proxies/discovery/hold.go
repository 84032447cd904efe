package discovery

import "time"

// held is a snapshot that is kept back on purpose: see Options.Holds.
type held struct {
	snapshot *Snapshot
	standing bool
	came     time.Time
}

// askEvery is how often it is asked whether what is held may come into force.
const askEvery = 5 * time.Millisecond

// receive puts a message into force, or keeps it back where it must be.
func (c *Client) receive(s *Snapshot, standing bool) error {
	c.taking.Lock()
	defer c.taking.Unlock()
	if s == nil || c.options.Holds == nil {
		return c.take(s, standing)
	}
	now := time.Now()
	switch waits := c.held != nil; {
	case c.options.Holds(now, true):
		c.held = &held{s, standing, now}
		if !waits {
			time.AfterFunc(askEvery, c.release)
		}
		return nil
	default:
		c.held = nil // it is older
		return c.take(s, standing)
	}
}

// release puts what is held into force as soon as it may be.
func (c *Client) release() {
	c.taking.Lock()
	defer c.taking.Unlock()
	h := c.held
	switch {
	case h == nil:
	case c.options.Holds(h.came, false):
		time.AfterFunc(askEvery, c.release)
	default:
		c.held = nil
		if err := c.take(h.snapshot, h.standing); err != nil {
			c.refused(err)
		}
	}
}
