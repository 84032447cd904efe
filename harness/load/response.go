package load

import "bytes"

// Bounds on what is read of a head: larger ones are a protocol error of the target, not a reason to hold memory for it.
const (
	maxLine = 16 << 10
	maxHead = 64 << 10
)

// response reads one HTTP/1.1 response (RFC 9112) from a connection, as its bytes come in. It keeps what a sample needs and throws the
// body away. It is reused for the next response without an allocation; only a line cut in two by a read is copied.
type response struct {
	status    int
	bytes     int64 // of the body, so far
	keepAlive bool  // the connection may carry another request
	declared  bool
	asked     bool   // the request asked where its time goes
	timing    []byte // Server-Timing of all its lines, where asked

	phase   phase
	toHead  bool  // the request was HEAD: no body, whatever the head says
	left    int64 // bytes of the body, or of the chunk
	length  int64 // Content-Length, -1 if absent
	chunked bool
	minor   byte // of HTTP/1.x
	head    int  // bytes of the head, so far
	partial []byte
}

type phase uint8

const (
	atStatusLine phase = iota
	atHeader
	atBody       // left bytes are missing
	atChunkSize  // a line with the size of the next chunk
	atChunk      // left bytes of the chunk are missing
	atChunkEnd   // the empty line behind a chunk
	atTrailer    // lines until an empty one
	atUntilClose // the end of the connection is the end of the body
	complete
)

// begin makes ready for the response to a request.
func (r *response) begin(toHead bool) {
	*r = response{toHead: toHead, length: -1, partial: r.partial[:0], timing: r.timing[:0]}
}

// feed takes bytes as they were read. It returns how many of them belong to this response and whether that is now complete.
func (r *response) feed(p []byte) (n int, done bool, err error) {
	for n < len(p) && r.phase != complete {
		switch r.phase {
		case atBody, atChunk:
			k := min(r.left, int64(len(p)-n))
			n += int(k)
			r.left -= k
			r.bytes += k
			if r.left == 0 && r.phase == atBody {
				r.phase = complete
			} else if r.left == 0 {
				r.phase = atChunkEnd
			}
		case atUntilClose:
			r.bytes += int64(len(p) - n)
			n = len(p)
		default:
			line, k, err := r.line(p[n:])
			n += k
			if err != nil {
				return n, false, err
			}
			if line == nil {
				return n, false, nil
			}
			err = r.take(line)
			r.partial = r.partial[:0]
			if err != nil {
				return n, false, err
			}
		}
	}
	return n, r.phase == complete, nil
}

// eof takes the end of the connection, and says whether the response is complete by it.
func (r *response) eof() bool {
	if r.phase == atUntilClose {
		r.phase = complete
	}
	return r.phase == complete
}

// cut is the class of a response that ended here, incomplete.
func (r *response) cut() error {
	if r.phase == atStatusLine || r.phase == atHeader {
		return ErrReset
	}
	return ErrShortBody
}

// outcome is what a sample keeps of a response.
type outcome struct {
	status   int
	bytes    int64
	declared bool
}

func (r *response) outcome() outcome { return outcome{r.status, r.bytes, r.declared} }

// line returns the next line without its CR LF, or nil if its end is not there yet. It is valid until the next call of feed.
func (r *response) line(p []byte) (line []byte, n int, err error) {
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		n = len(p)
	} else {
		n = end + 1
	}
	if r.head += n; r.head > maxHead || len(r.partial)+n > maxLine {
		return nil, n, ErrProtocol
	}
	if end < 0 {
		r.partial = append(r.partial, p...)
		return nil, n, nil
	}
	line = p[:n]
	if len(r.partial) > 0 {
		r.partial = append(r.partial, line...)
		line = r.partial
	}
	// RFC 9112 2.2 lets a recipient take a bare LF; a proxy that sends one is broken, and this is a measurement of proxies.
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, n, ErrProtocol
	}
	return line[:len(line)-2], n, nil
}

func (r *response) take(line []byte) error {
	switch r.phase {
	case atStatusLine:
		return r.takeStatus(line)
	case atHeader:
		if len(line) == 0 {
			return r.endHead()
		}
		return r.takeHeader(line)
	case atChunkSize:
		return r.takeChunkSize(line)
	case atChunkEnd:
		if len(line) != 0 {
			return ErrProtocol
		}
		r.phase = atChunkSize
	case atTrailer:
		if len(line) == 0 {
			r.phase = complete
		}
	}
	r.head = 0 // the bound holds for a head, and for each chunk line
	return nil
}

// takeStatus reads "HTTP/1.x NNN reason" (RFC 9112 4).
func (r *response) takeStatus(line []byte) error {
	const prefix = len("HTTP/1.1 ")
	if len(line) < prefix+3 || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return ErrProtocol
	}
	if r.minor = line[7]; r.minor != '0' && r.minor != '1' {
		return ErrProtocol
	}
	r.status = 0
	for _, c := range line[prefix : prefix+3] {
		if c < '0' || c > '9' {
			return ErrProtocol
		}
		r.status = r.status*10 + int(c-'0')
	}
	if r.status < 100 || r.status > 599 || (len(line) > prefix+3 && line[prefix+3] != ' ') {
		return ErrProtocol
	}
	r.keepAlive = r.minor == '1'
	r.phase = atHeader
	return nil
}

func (r *response) takeHeader(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon < 1 || line[0] == ' ' || line[0] == '\t' || line[colon-1] == ' ' || line[colon-1] == '\t' {
		return ErrProtocol // no name, a folded line (RFC 9112 5.2), or space before the colon (5.1)
	}
	name, value := line[:colon], bytes.Trim(line[colon+1:], " \t")
	switch {
	case equalFold(name, "content-length"):
		length, ok := decimal(value)
		if !ok || (r.length >= 0 && r.length != length) {
			return ErrProtocol // RFC 9112 6.3: differing or invalid values cannot be framed
		}
		r.length = length
	case equalFold(name, "transfer-encoding"):
		if r.chunked || !equalFold(value, "chunked") {
			return ErrProtocol // no other coding was offered with TE
		}
		r.chunked = true
	case equalFold(name, "connection"):
		r.takeConnection(value)
	case equalFold(name, DeclaredHeader):
		r.declared = string(value) == "1"
	case r.asked && equalFold(name, "server-timing"):
		r.timing = append(append(r.timing, value...), ',')
	}
	return nil
}

// takeConnection reads the options of a Connection header (RFC 9110 7.6.1).
func (r *response) takeConnection(value []byte) {
	for len(value) > 0 {
		option := value
		if comma := bytes.IndexByte(value, ','); comma >= 0 {
			option, value = value[:comma], value[comma+1:]
		} else {
			value = nil
		}
		option = bytes.Trim(option, " \t")
		if equalFold(option, "close") {
			r.keepAlive = false
			r.minor = 0 // a later keep-alive does not undo it
		} else if r.minor == '0' && equalFold(option, "keep-alive") {
			r.keepAlive = true
		}
	}
}

// endHead decides how the body is framed, in the order of RFC 9112 6.3.
func (r *response) endHead() error {
	switch {
	case r.status == 101:
		return ErrProtocol // no upgrade was asked for
	case r.status < 200:
		*r = response{toHead: r.toHead, length: -1, partial: r.partial, asked: r.asked, timing: r.timing[:0]} // an interim response: the final one follows
		return nil
	case r.toHead || r.status == 204 || r.status == 304:
		r.phase = complete
	case r.chunked && r.length >= 0:
		return ErrProtocol // RFC 9112 6.2: a sender must not send both
	case r.chunked:
		r.phase = atChunkSize
	case r.length == 0:
		r.phase = complete
	case r.length > 0:
		r.left, r.phase = r.length, atBody
	default:
		r.keepAlive, r.phase = false, atUntilClose
	}
	r.head = 0
	return nil
}

// takeChunkSize reads "hex [; extensions]" (RFC 9112 7.1).
func (r *response) takeChunkSize(line []byte) error {
	if semicolon := bytes.IndexByte(line, ';'); semicolon >= 0 {
		line = line[:semicolon]
	}
	line = bytes.TrimRight(line, " \t")
	if len(line) == 0 || len(line) > 15 {
		return ErrProtocol
	}
	r.left = 0
	for _, c := range line {
		digit, ok := hexDigit(c)
		if !ok {
			return ErrProtocol
		}
		r.left = r.left<<4 | digit
	}
	if r.phase = atChunk; r.left == 0 {
		r.phase = atTrailer
	}
	r.head = 0
	return nil
}

func hexDigit(c byte) (int64, bool) {
	switch {
	case c >= '0' && c <= '9':
		return int64(c - '0'), true
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int64(c|0x20-'a') + 10, true
	}
	return 0, false
}

func decimal(p []byte) (int64, bool) {
	if len(p) == 0 || len(p) > 18 {
		return 0, false
	}
	var v int64
	for _, c := range p {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	return v, true
}

// equalFold compares ASCII without regard to case; bytes.EqualFold would need the second argument as bytes.
func equalFold(p []byte, s string) bool {
	if len(p) != len(s) {
		return false
	}
	for i := range p {
		a, b := p[i], s[i]
		if a == b {
			continue
		}
		if a|0x20 != b|0x20 || a|0x20 < 'a' || a|0x20 > 'z' {
			return false
		}
	}
	return true
}
