package load

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestResponseReader(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for name, c := range map[string]struct {
		in     string
		toHead bool
		want   outcome
		keep   bool
		rest   int  // bytes behind the response
		eof    bool // the response ends with the connection
		err    error
	}{
		"length":            {in: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", want: outcome{200, 3, false}, keep: true},
		"no reason":         {in: "HTTP/1.1 204\r\n\r\n", want: outcome{204, 0, false}, keep: true},
		"empty":             {in: "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", want: outcome{200, 0, false}, keep: true},
		"bytes behind":      {in: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc", want: outcome{200, 1, false}, keep: true, rest: 2},
		"declared":          {in: "HTTP/1.1 502 Bad\r\nx-crossroads-declared: 1\r\nContent-Length: 0\r\n\r\n", want: outcome{502, 0, true}, keep: true},
		"chunked":           {in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", want: outcome{200, 13, false}, keep: true},
		"chunked, empty":    {in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: outcome{200, 0, false}, keep: true},
		"until close":       {in: "HTTP/1.1 200 OK\r\n\r\nabcdef", want: outcome{200, 6, false}, eof: true},
		"HTTP/1.0":          {in: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", want: outcome{200, 1, false}},
		"HTTP/1.0 kept":     {in: "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\na", want: outcome{200, 1, false}, keep: true},
		"close":             {in: "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 0\r\n\r\n", want: outcome{200, 0, false}},
		"close wins":        {in: "HTTP/1.0 200 OK\r\nConnection: close, keep-alive\r\nContent-Length: 0\r\n\r\n", want: outcome{200, 0, false}},
		"HEAD":              {in: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", toHead: true, want: outcome{200, 0, false}, keep: true},
		"not modified":      {in: "HTTP/1.1 304 Not\r\nContent-Length: 10\r\n\r\n", want: outcome{304, 0, false}, keep: true},
		"interim":           {in: "HTTP/1.1 103 Early\r\nX-Crossroads-Declared: 1\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", want: outcome{200, 1, false}, keep: true},
		"same length twice": {in: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", want: outcome{200, 1, false}, keep: true},

		"garbage":           {in: "hello\r\n", err: ErrProtocol},
		"HTTP/2":            {in: "HTTP/2.0 200 OK\r\n", err: ErrProtocol},
		"status letters":    {in: "HTTP/1.1 2x0 OK\r\n", err: ErrProtocol},
		"status range":      {in: "HTTP/1.1 999 OK\r\n", err: ErrProtocol},
		"status long":       {in: "HTTP/1.1 2000 OK\r\n", err: ErrProtocol},
		"upgrade":           {in: "HTTP/1.1 101 Switching\r\n\r\n", err: ErrProtocol},
		"bare LF":           {in: "HTTP/1.1 200 OK\n\n", err: ErrProtocol},
		"no colon":          {in: "HTTP/1.1 200 OK\r\nfoo\r\n", err: ErrProtocol},
		"space before it":   {in: "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n", err: ErrProtocol},
		"folded":            {in: "HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\n", err: ErrProtocol},
		"length differs":    {in: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n", err: ErrProtocol},
		"length signed":     {in: "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n", err: ErrProtocol},
		"length list":       {in: "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n", err: ErrProtocol},
		"length huge":       {in: "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n", err: ErrProtocol},
		"coding":            {in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n", err: ErrProtocol},
		"chunked twice":     {in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", err: ErrProtocol},
		"both framings":     {in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", err: ErrProtocol},
		"chunk size":        {in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", err: ErrProtocol},
		"chunk size none":   {in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n;\r\n", err: ErrProtocol},
		"chunk size huge":   {in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", err: ErrProtocol},
		"chunk too long":    {in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", err: ErrProtocol},
		"endless line":      {in: "HTTP/1.1 200 OK\r\nA: " + long, err: ErrProtocol},
		"endless head":      {in: "HTTP/1.1 200 OK\r\n" + strings.Repeat("A: "+long[:1000]+"\r\n", 70), err: ErrProtocol},
		"nothing":           {in: "", err: ErrReset},
		"half a head":       {in: "HTTP/1.1 200 OK\r\nContent-Le", err: ErrReset},
		"half a body":       {in: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", err: ErrShortBody},
		"half a chunk":      {in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", err: ErrShortBody},
		"no last chunk":     {in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", err: ErrShortBody},
		"no trailer's end":  {in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", err: ErrShortBody},
		"100 and then none": {in: "HTTP/1.1 100 Continue\r\n\r\n", err: ErrReset},
	} {
		t.Run(name, func(t *testing.T) {
			for _, step := range []int{1 << 20, 1, 2, 3, 7, 64} {
				got := readInSteps([]byte(c.in), step, c.toHead)
				require.Equal(t, c.err, got.err, "in steps of %d", step)
				if c.err != nil {
					continue
				}
				require.Equal(t, readOutcome{got: c.want, keep: c.keep, rest: c.rest, eof: c.eof}, got, "in steps of %d", step)
			}
		})
	}
}

// readOutcome is all that the driver sees of a response.
type readOutcome struct {
	got  outcome
	keep bool
	rest int
	eof  bool
	err  error
}

// readInSteps reads the bytes of a connection that ends after them, as a driver does.
func readInSteps(in []byte, step int, toHead bool) readOutcome {
	var r response
	r.partial = []byte("left over from the response before")
	r.begin(toHead)
	for at := 0; at < len(in); at += step {
		p := in[at:min(at+step, len(in))]
		n, done, err := r.feed(p)
		if err != nil {
			return readOutcome{err: err}
		}
		if done {
			return readOutcome{got: r.outcome(), keep: r.keepAlive, rest: len(in) - at - n}
		}
		if n != len(p) {
			panic("bytes were left although the response is not complete")
		}
	}
	if r.eof() {
		return readOutcome{got: r.outcome(), keep: r.keepAlive, eof: true}
	}
	return readOutcome{err: r.cut()}
}

// FuzzResponseReader holds that a response means the same however the network cuts it, that its body is never longer than what was
// sent, and that reading always ends.
func FuzzResponseReader(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nT: x\r\n\r\nrest",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\n\r\nuntil the end",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nX-Crossroads-Declared: 1\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
		"garbage\n",
	} {
		f.Add([]byte(seed), byte(1), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, step byte, toHead bool) {
		whole := readInSteps(in, len(in)+1, toHead)
		require.Equal(t, whole, readInSteps(in, int(step)+1, toHead))
		if whole.err == nil {
			require.LessOrEqual(t, whole.got.bytes, int64(len(in)))
			require.GreaterOrEqual(t, whole.got.status, 200)
			require.Less(t, whole.got.status, 600)
		}
	})
}
