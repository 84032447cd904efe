package wire

import (
	"bytes"
	"io"
)

// maxChunkLines bounds one chunk line, and the sum of extensions and trailers of a body.
const (
	maxChunkLine  = 256
	maxChunkExtra = 16 << 10
)

type chunkState uint8

const (
	chunkSize    chunkState = iota // a size line is due
	chunkData                      // left bytes of data are due
	chunkEnd                       // the CRLF behind the data is due
	chunkTrailer                   // trailer fields, or the empty line
)

// readChunked hands out decoded data; what was decoded ahead comes first.
func (b *Incoming) readChunked(p []byte) (int, error) {
	if b.d0 < b.d1 {
		n := copy(p, b.conn.buf[b.d0:b.d1])
		b.d0 += n
		return n, nil
	}
	for b.err == nil {
		if b.chunk == chunkData {
			n, err := b.readRaw(p[:min(int64(len(p)), b.left)])
			if b.left -= int64(n); b.left == 0 {
				b.chunk = chunkEnd
			}
			return n, err
		}
		more, err := b.chunkLine()
		if err != nil {
			b.err = err
			break
		}
		if !more {
			continue
		}
		if err := b.fill(2 * maxChunkExtra); err != nil {
			return 0, err
		}
	}
	return 0, b.err
}

// decodeBuffered decodes the chunks that have arrived, moving their data together where it stands.
func (b *Incoming) decodeBuffered() error {
	c := b.conn
	if b.d0 == b.d1 {
		b.d0, b.d1 = c.r, c.r
	}
	for b.err == nil {
		if b.chunk == chunkData {
			n := int(min(b.left, int64(c.w-c.r)))
			if n == 0 {
				return nil
			}
			copy(c.buf[b.d1:], c.buf[c.r:c.r+n])
			b.d1 += n
			c.r += n
			if b.left -= int64(n); b.left == 0 {
				b.chunk = chunkEnd
			}
			continue
		}
		more, err := b.chunkLine()
		if err != nil {
			b.err = err
			return err
		}
		if more {
			return nil
		}
	}
	return nil
}

// chunkLine takes one line of the framing from the buffer; more means that it has not arrived whole (RFC 9112 7.1).
func (b *Incoming) chunkLine() (more bool, err error) {
	c := b.conn
	buf := c.buf[c.r:c.w]
	lf := bytes.IndexByte(buf, '\n')
	if lf < 0 {
		return true, b.partialLine(buf)
	}
	if lf == 0 || buf[lf-1] != '\r' {
		return false, errBareLF
	}
	line := buf[:lf-1]
	if b.line += lf; b.chunk != chunkTrailer && lf > maxChunkLine {
		return false, errChunkLong
	}
	switch b.chunk {
	case chunkSize:
		err = b.sizeLine(line)
	case chunkEnd:
		if len(line) != 0 {
			return false, errChunk
		}
		b.line -= lf
		b.chunk = chunkSize
	case chunkTrailer:
		err = b.trailerLine(line)
	}
	if b.line > maxChunkExtra {
		return false, errChunkLong
	}
	c.r += lf + 1
	return false, err
}

// partialLine refuses early what can no longer become a line.
func (b *Incoming) partialLine(buf []byte) error {
	switch {
	case len(buf) == 0:
		return nil
	case b.chunk == chunkEnd && (buf[0] != '\r' || len(buf) > 1):
		return errChunk
	case b.chunk == chunkSize && class[buf[0]]&hexByte == 0:
		return errChunk
	case b.chunk == chunkSize && len(buf) > maxChunkLine, b.line+len(buf) > maxChunkExtra:
		return errChunkLong
	}
	return nil
}

// sizeLine reads chunk-size [ chunk-ext ]; extensions are checked and dropped.
func (b *Incoming) sizeLine(line []byte) error {
	var size int64
	i := 0
	for ; i < len(line) && class[line[i]]&hexByte != 0; i++ {
		if size >= 1<<59 { // the next digit would overflow
			return errChunk
		}
		size = size<<4 | int64(nibble(line[i]))
	}
	if i == 0 || !validExtensions(line[i:]) {
		return errChunk
	}
	if i <= 8 && i == len(line) {
		b.line -= len(line) + 1 // a plain size is no extra
	}
	switch {
	case size == 0:
		b.chunk = chunkTrailer
	case b.limit > 0 && size > b.limit-b.got-int64(b.d1-b.d0):
		return errBodyLong
	default:
		b.chunk, b.left = chunkData, size
	}
	return nil
}

// validExtensions checks *( ";" token [ "=" ( token / quoted-string ) ] ), without the whitespace that RFC 9112 7.1.1 calls bad.
func validExtensions(e []byte) bool {
	for len(e) > 0 {
		if e[0] != ';' {
			return false
		}
		n := tokenLen(e[1:])
		if n == 0 {
			return false
		}
		if e = e[1+n:]; len(e) == 0 || e[0] != '=' {
			continue
		}
		if e = e[1:]; len(e) > 0 && e[0] == '"' {
			n = quotedLen(e)
		} else {
			n = tokenLen(e)
		}
		if n == 0 {
			return false
		}
		e = e[n:]
	}
	return true
}

func tokenLen(b []byte) int {
	for i, c := range b {
		if class[c]&tokenByte == 0 {
			return i
		}
	}
	return len(b)
}

// quotedLen is the length of the quoted-string at the front (RFC 9110 5.6.4); 0: there is none.
func quotedLen(b []byte) int {
	for i := 1; i < len(b); i++ {
		switch {
		case b[i] == '"':
			return i + 1
		case b[i] == '\\':
			i++
			if i == len(b) || class[b[i]]&valueByte == 0 {
				return 0
			}
		case class[b[i]]&valueByte == 0:
			return 0
		}
	}
	return 0
}

// trailerLine checks a trailer field and drops it: merging it into the head would let it past every check (RFC 9110 6.5.1).
func (b *Incoming) trailerLine(line []byte) error {
	if len(line) == 0 {
		b.err = io.EOF
		return nil
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 || !canonical(line[:colon]) || !validValue(line[colon+1:]) {
		return errTrailer
	}
	return nil
}
