package wire

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChunkedBodyEndsOnlyWhereItsFramingSaysSo(t *testing.T) {
	for _, c := range []struct {
		name, raw, want string
		err             error // io.EOF: complete
	}{
		{"one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello", io.EOF},
		{"two chunks", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello", io.EOF},
		{"hexadecimal", "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", io.EOF},
		{"leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello", io.EOF},
		{"extensions", "5;a;b=c;d=\"e;\\\"f\"\r\nhello\r\n0;x\r\n\r\n", "hello", io.EOF},
		{"trailers are dropped", "5\r\nhello\r\n0\r\nX-T: 1\r\nY: 2\r\n\r\n", "hello", io.EOF},
		{"empty", "0\r\n\r\n", "", io.EOF},
		{"bytes behind it stay", "5\r\nhello\r\n0\r\n\r\nGET", "hello", io.EOF},
		{"nothing at all", "", "", io.ErrUnexpectedEOF},
		{"cut in data", "a\r\nhello", "hello", io.ErrUnexpectedEOF},
		{"cut behind data", "5\r\nhello", "hello", io.ErrUnexpectedEOF},
		{"cut between chunks", "5\r\nhello\r\n", "hello", io.ErrUnexpectedEOF},
		{"cut in the size", "5\r\nhello\r\n1", "hello", io.ErrUnexpectedEOF},
		{"cut behind the last chunk", "5\r\nhello\r\n0\r\n", "hello", io.ErrUnexpectedEOF},
		{"cut in a trailer", "5\r\nhello\r\n0\r\nX: 1\r\n", "hello", io.ErrUnexpectedEOF},
		{"sign", "+5\r\nhello\r\n0\r\n\r\n", "", errChunk},
		{"0x", "0x5\r\nhello\r\n0\r\n\r\n", "", errChunk},
		{"no size", ";a\r\nhello\r\n0\r\n\r\n", "", errChunk},
		{"space", "5 \r\nhello\r\n0\r\n\r\n", "", errChunk},
		{"unbalanced quote", "5;a=\"b\r\nhello\r\n0\r\n\r\n", "", errChunk},
		{"overflow", "8000000000000000\r\nhello", "", errChunk},
		{"bare LF behind the size", "5\nhello\r\n0\r\n\r\n", "", errBareLF},
		{"bare LF behind data", "5\r\nhello\n0\r\n\r\n", "hello", errBareLF},
		{"data too long", "5\r\nhelloXX\r\n0\r\n\r\n", "hello", errChunk},
		{"no CRLF behind data", "5\r\nhello0\r\n\r\n", "hello", errChunk},
		{"size line too long", strings.Repeat("0", 300) + "5\r\nhello\r\n0\r\n\r\n", "", errChunkLong},
		{"extension too long", "5;a=" + strings.Repeat("b", 300) + "\r\nhello\r\n0\r\n\r\n", "", errChunkLong},
		{"trailers too long", "0\r\n" + strings.Repeat("X: 1\r\n", 4000) + "\r\n", "", errChunkLong},
		{"malformed trailer", "0\r\nX : 1\r\n\r\n", "", errTrailer},
		{"folded trailer", "0\r\nX: 1\r\n a\r\n\r\n", "", errTrailer},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, piece := range []int{0, 1, 3} {
				for _, gather := range []bool{false, true} {
					conn := over(t, c.raw, piece)
					conn.Body.start(0, true, false)
					if gather {
						_ = conn.Fill(4 << 10)
						_ = conn.Body.Gather(0)
					}
					got, err := drain(&conn.Body)
					if gather && err != io.EOF { // what was decoded ahead is lost with the refusal
						require.True(t, strings.HasPrefix(c.want, got))
					} else {
						require.Equal(t, c.want, got)
					}
					require.Equal(t, c.err, err, "piece %d gather %v", piece, gather)
					require.Equal(t, c.err == io.EOF, conn.Body.Done())
					if c.raw == "" {
						break
					}
				}
			}
		})
	}
}

func drain(b *Incoming) (string, error) {
	var got strings.Builder
	p := make([]byte, 3)
	for {
		n, err := b.Read(p)
		got.Write(p[:n])
		if err != nil {
			return got.String(), err
		}
	}
}

func TestDeclaredBody(t *testing.T) {
	c := over(t, "hello-and-more", 0)
	require.NoError(t, c.Fill(4<<10))
	c.Body.start(5, false, false)
	data, complete := c.Body.Buffered()
	require.True(t, complete)
	require.Equal(t, "hello", string(data))
	c.Body.Discard(len(data))
	require.True(t, c.Body.Done())
	require.Equal(t, 9, c.Buffered(), "what follows is not the body's")

	c = over(t, "hell", 0)
	c.Body.start(5, false, false)
	got, err := drain(&c.Body)
	require.Equal(t, "hell", got)
	require.Equal(t, io.ErrUnexpectedEOF, err)
	require.False(t, c.Body.Done())
}

func TestGatherReadsASmallBodyWhole(t *testing.T) {
	body := strings.Repeat("x", 10<<10)
	c := over(t, body+"next", 100)
	c.Body.start(int64(len(body)), false, false)
	require.NoError(t, c.Body.Gather(64<<10))
	data, complete := c.Body.Buffered()
	require.True(t, complete)
	require.Equal(t, body, string(data))

	c = over(t, body, 100)
	c.Body.start(int64(len(body)), false, false)
	require.NoError(t, c.Body.Gather(1<<10))
	_, complete = c.Body.Buffered()
	require.False(t, complete, "a larger one is left to be streamed")
}

func TestBodyLimit(t *testing.T) {
	c := over(t, "", 0)
	c.Body.start(11, false, false)
	require.Equal(t, error(errBodyLong), c.Body.Limit(10))

	c = over(t, "5\r\nhello\r\n6\r\nworlds\r\n0\r\n\r\n", 0)
	c.Body.start(0, true, false)
	require.NoError(t, c.Body.Limit(10))
	got, err := drain(&c.Body)
	require.Equal(t, "hello", got)
	require.Equal(t, error(errBodyLong), err)
}

func TestUntilClose(t *testing.T) {
	c := over(t, "hello", 2)
	c.Body.start(0, false, true)
	got, err := drain(&c.Body)
	require.Equal(t, "hello", got)
	require.Equal(t, io.EOF, err)
}

func TestContinueIsSentByTheFirstReadThatWaits(t *testing.T) {
	s := &stream{in: strings.NewReader("hello")}
	c := NewConn(s)
	defer c.Close()
	c.Body.start(5, false, false)
	c.Body.Invite()
	require.Empty(t, s.sent.String())
	_, err := drain(&c.Body)
	require.Equal(t, io.EOF, err)
	require.Equal(t, string(continueHead), s.sent.String())
	require.False(t, c.Body.Withdraw())

	c.Body.start(5, false, false)
	c.Body.Invite()
	require.True(t, c.Body.Withdraw(), "never invited")
}
