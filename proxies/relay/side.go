package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"crossroads/proxies/wire"
)

// bufferSize holds most messages whole, so that they are one read and one write; it is also the longest head.
const bufferSize = 16 << 10

// side is one connection with what was read from it and not passed on yet.
type side struct {
	net.Conn
	buf  [bufferSize]byte
	r, w int
}

var errHeadLong = errors.New("a head longer than the buffer")

// head reads until a whole message head is there, and returns it.
func (s *side) head() ([]byte, error) {
	searched := 0
	for {
		if i := bytes.Index(s.buf[s.r+searched:s.w], []byte("\r\n\r\n")); i >= 0 {
			return s.buf[s.r : s.r+searched+i+4], nil
		}
		searched = max(0, s.w-s.r-3)
		if s.r > 0 {
			copy(s.buf[:], s.buf[s.r:s.w])
			s.r, s.w = 0, s.w-s.r
		}
		if s.w == len(s.buf) {
			return nil, errHeadLong
		}
		n, err := s.Read(s.buf[s.w:])
		if s.w += n; n == 0 && err != nil {
			return nil, err
		}
	}
}

// pass writes the head, which stands at the front of the buffer, and the body behind it to the other side: what is here already in
// one write, the rest as it comes.
func (s *side) pass(head int, f *framing, to net.Conn) error {
	n, done := f.take(s.buf[s.r+head : s.w])
	if _, err := to.Write(s.buf[s.r : s.r+head+n]); err != nil {
		return err
	}
	s.r += head + n
	for !done {
		s.r, s.w = 0, 0
		got, err := s.Read(s.buf[:])
		switch {
		case got > 0:
		case errors.Is(err, io.EOF) && f.kind == untilClose:
			return nil
		case err != nil:
			return err
		}
		s.w = got
		n, done = f.take(s.buf[:got])
		if _, err := to.Write(s.buf[:n]); err != nil {
			return err
		}
		s.r = n
	}
	return nil
}

const connectTimeout = 5 * time.Second

func dial(address string) (*side, error) {
	network := "tcp"
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		network, address = "unix", path
	}
	c, err := net.DialTimeout(network, address, connectTimeout)
	if err != nil {
		return nil, err
	}
	return &side{Conn: wire.NewSocket(c)}, nil // the same sockets as the proxies above this floor
}
