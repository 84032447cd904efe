package relay

import (
	"bytes"
	"errors"
)

// framing says where one message ends (RFC 9112 6.3). It knows what that takes and nothing else: no field is checked, kept or changed,
// and what cannot be framed is carried until its connection ends.
type framing struct {
	final bool  // no interim response
	close bool  // the connection carries no message behind this one
	kind  kind  // of the body
	left  int64 // bytes to come: of the body, or of the chunk
	chunk chunkState
	line  int // bytes of the current trailer line, its CR not counted
}

type kind uint8

const (
	length kind = iota // left bytes; also no body at all
	chunked
	untilClose
)

type chunkState uint8

const (
	inSize      chunkState = iota // hexadecimal digits
	inExtension                   // up to the end of the line
	inData                        // left bytes
	behindData                    // CR LF
	inTrailer                     // lines, until an empty one
)

var errHead = errors.New("a head that says no length that can be read")

// read takes in a whole head, its empty line included. headless says of a response that it has no body whatever it says: the request
// was HEAD.
func (f *framing) read(head []byte, response, headless bool) error {
	*f = framing{final: true}
	line, rest := cutLine(head)
	f.close = bytes.Contains(line, []byte("HTTP/1.0"))
	sized := false
	for line, rest = cutLine(rest); len(line) > 0; line, rest = cutLine(rest) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case is(name, "content-length"):
			sized = true
			if f.kind != chunked && !f.sized(value) {
				return errHead
			}
		case is(name, "transfer-encoding"):
			f.kind = chunked
		case is(name, "connection"):
			f.close = f.close || bytes.Contains(bytes.ToLower(value), []byte("close"))
		}
	}
	if response {
		f.answer(head, sized, headless)
	}
	return nil
}

// answer applies what holds for responses alone.
func (f *framing) answer(head []byte, sized, headless bool) {
	status := statusOf(head)
	switch {
	case status/100 == 1:
		f.final = false
		f.kind, f.left = length, 0
	case headless, status == 204, status == 304:
		f.kind, f.left = length, 0
	case !sized && f.kind != chunked:
		f.kind, f.close = untilClose, true
	}
}

func (f *framing) sized(value []byte) bool {
	f.left = 0
	for _, c := range value {
		if c < '0' || c > '9' || f.left > 1<<58 {
			return false
		}
		f.left = f.left*10 + int64(c-'0')
	}
	return len(value) > 0
}

// statusOf reads HTTP/1.x NNN; 0 where it is none.
func statusOf(head []byte) int {
	if len(head) < 12 {
		return 0
	}
	status := 0
	for _, c := range head[9:12] {
		status = status*10 + int(c-'0')
	}
	return status
}

// is compares a field name without regard to case.
func is(name []byte, word string) bool {
	return len(name) == len(word) && name[0]|0x20 == word[0] && bytes.EqualFold(name, []byte(word))
}

// cutLine returns the first line without its end, and what follows.
func cutLine(p []byte) (line, rest []byte) {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		return nil, nil
	}
	return bytes.TrimSuffix(p[:i], []byte{'\r'}), p[i+1:]
}

// take says how many of the bytes at hand belong to the body, and whether it ends with them.
func (f *framing) take(p []byte) (n int, done bool) {
	switch f.kind {
	case untilClose:
		return len(p), false
	case length:
		n = int(min(f.left, int64(len(p))))
		f.left -= int64(n)
		return n, f.left == 0
	}
	for n < len(p) {
		if f.chunk == inData {
			k := int(min(f.left, int64(len(p)-n)))
			n += k
			if f.left -= int64(k); f.left == 0 {
				f.chunk = behindData
			}
			continue
		}
		n++
		if f.step(p[n-1]) {
			return n, true
		}
	}
	return n, false
}

// step takes one byte of the chunks' framing (RFC 9112 7.1); true: it was the last of the message.
func (f *framing) step(c byte) (last bool) {
	switch f.chunk {
	case inSize, inExtension:
		switch {
		case c == '\n' && f.left == 0:
			f.chunk, f.line = inTrailer, 0
		case c == '\n':
			f.chunk = inData
		case f.chunk == inSize && digit(c) >= 0:
			f.left = f.left<<4 | int64(digit(c))
		default:
			f.chunk = inExtension
		}
	case behindData:
		if c == '\n' {
			f.chunk, f.left = inSize, 0
		}
	case inTrailer:
		switch {
		case c == '\n' && f.line == 0:
			return true
		case c == '\n':
			f.line = 0
		case c != '\r':
			f.line++
		}
	}
	return false
}

func digit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
