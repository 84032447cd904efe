package wire

import "bytes"

// headScan finds the end of a head as its bytes arrive: no byte is looked at twice.
type headScan struct {
	searched int   // bytes behind r that hold no further LF
	start    int   // of the current line, from r
	ends     []int // of the lines, from r, without CRLF
	skipped  bool  // an empty line in front
	whole    bool  // the empty line that ends the head was found
}

func (s *headScan) reset() { s.searched, s.start, s.ends, s.whole = 0, 0, s.ends[:0], false }

// headReady says whether a whole head is buffered. It refuses what can never become one at the first sight of it: a line that is
// ended by a bare LF (RFC 9112 2.2), and a request that does not begin with a method. One empty line in front of a request is
// skipped (RFC 9112 2.2).
func (c *Conn) headReady(request bool) (bool, error) {
	s := &c.head
	for !s.whole {
		b := c.buf[c.r:c.w]
		if request && s.start == 0 && len(b) > 0 && class[b[0]]&tokenByte == 0 && b[0] != '\r' {
			return false, errStart
		}
		i := bytes.IndexByte(b[s.searched:], '\n')
		if i < 0 {
			s.searched = len(b)
			return false, nil
		}
		lf := s.searched + i
		if lf == s.start || b[lf-1] != '\r' {
			return false, errBareLF
		}
		empty := lf-1 == s.start
		s.searched, s.start = lf+1, lf+1
		switch {
		case !empty:
			s.ends = append(s.ends, lf-1)
		case len(s.ends) > 0:
			s.whole = true
		case request && !s.skipped:
			s.skipped = true
			c.r += lf + 1
			s.reset()
		default:
			return false, errStart
		}
	}
	return true, nil
}

// line returns line i of a ready head.
func (c *Conn) line(i int) []byte {
	start := 0
	if i > 0 {
		start = c.head.ends[i-1] + 2
	}
	return c.buf[c.r+start : c.r+c.head.ends[i]]
}

// consumeHead drops the head from the buffer.
func (c *Conn) consumeHead() {
	c.r += c.head.start
	c.head.reset()
	c.head.skipped = false
}

// awaitHead reads until a whole head is buffered.
func (c *Conn) awaitHead(request bool, limit int) error {
	for {
		ready, err := c.headReady(request)
		if ready || err != nil {
			if ready && c.head.start > limit {
				return c.headTooLong(request)
			}
			return err
		}
		if c.w-c.r >= limit {
			return c.headTooLong(request)
		}
		if err := c.Fill(limit); err != nil {
			if err == errFull {
				return c.headTooLong(request)
			}
			return err
		}
	}
}

func (c *Conn) headTooLong(request bool) error {
	if request && len(c.head.ends) == 0 {
		return errTargetLong
	}
	return errHeadLong
}
