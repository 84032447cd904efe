// Package wire is HTTP/1.1 as it stands on a connection: strict reading of message heads, the framing of bodies, and their
// writing, over fasthttp's header types. listen reads requests with it and writes responses; upstream does the reverse.
//
// Its one invariant: a message whose framing is in doubt is an error, never a guess (RFC 9112 6.3, 11.1, 11.2), and a body that
// ended before its framing said so never reads as complete. It does not know routes, stages, pools or listeners.
package wire

import "io"

// Lengths of a body that are not a number of bytes.
const (
	Chunked    = -1 // Transfer-Encoding: chunked
	UntilClose = -2 // a response without framing: ends with the connection (RFC 9112 6.3 rule 8)
)

// Body is a message body that streams past. Read returns io.EOF only where the framing said complete; a body cut short returns
// io.ErrUnexpectedEOF. Nothing may keep what Buffered returns beyond the next Read.
type Body interface {
	io.Reader
	// Length is the number of bytes declared, Chunked or UntilClose.
	Length() int64
	// Buffered returns decoded bytes that are here already, without input or output; complete says that nothing follows them,
	// so that head and body can leave in one write.
	Buffered() (data []byte, complete bool)
}

// Discard consumes n bytes of what Buffered returned; a Body that is an Incoming does so without a copy.
func Discard(b Body, n int) {
	if in, ok := b.(*Incoming); ok {
		in.Discard(n)
		return
	}
	var scratch [512]byte
	for n > 0 {
		r, err := b.Read(scratch[:min(n, len(scratch))])
		if err != nil {
			return
		}
		n -= r
	}
}
