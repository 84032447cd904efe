package wire

// Kind says what is wrong with a message, as far as the answer depends on it.
type Kind uint8

const (
	Malformed     Kind = iota // 400, or 502 from an upstream
	Ambiguous                 // 400: a path that two readers may read differently
	TargetTooLong             // 414
	HeadTooLong               // 431
	BodyTooLong               // 413
	BadVersion                // 505
	BadMethod                 // 405
	BadCoding                 // 501
	BadExpect                 // 417
)

// Error is a message that is refused. Text never holds input of the other end.
type Error struct {
	Kind Kind
	Text string
}

func (e *Error) Error() string { return e.Text }

// Every way in which a message can be wrong; values, so that refusing one allocates nothing.
var (
	errBareLF       = &Error{Malformed, "line ended by a bare LF"}
	errStart        = &Error{Malformed, "malformed start line"}
	errMethod       = &Error{Malformed, "malformed method"}
	errVersion      = &Error{BadVersion, "version other than HTTP/1.0 and HTTP/1.1"}
	errConnect      = &Error{BadMethod, "CONNECT is not offered"}
	errTrace        = &Error{BadMethod, "TRACE is not offered"}
	errTarget       = &Error{Malformed, "malformed request target"}
	errScheme       = &Error{Malformed, "request target of another scheme"}
	errUserinfo     = &Error{Malformed, "userinfo in the request target"}
	errTargetLong   = &Error{TargetTooLong, "request line too long"}
	errHeadLong     = &Error{HeadTooLong, "head too long"}
	errField        = &Error{Malformed, "malformed field line"}
	errName         = &Error{Malformed, "malformed field name"}
	errValue        = &Error{Malformed, "malformed field value"}
	errFold         = &Error{Malformed, "folded field line"}
	errHost         = &Error{Malformed, "malformed Host"}
	errHostMissing  = &Error{Malformed, "Host is missing"}
	errHostTwice    = &Error{Malformed, "several Host fields"}
	errHostOther    = &Error{Malformed, "Host differs from the request target"}
	errLength       = &Error{Malformed, "malformed Content-Length"}
	errLengthTwice  = &Error{Malformed, "several Content-Length fields"}
	errLengthCoding = &Error{Malformed, "Content-Length with Transfer-Encoding"}
	errCoding       = &Error{Malformed, "Transfer-Encoding is not a single final chunked"}
	errCodingOther  = &Error{BadCoding, "transfer coding other than chunked"}
	errCoding10     = &Error{Malformed, "Transfer-Encoding in HTTP/1.0"}
	errTypeTwice    = &Error{Malformed, "several Content-Type fields"}
	errExpect       = &Error{BadExpect, "expectation other than 100-continue"}
	errStatus       = &Error{Malformed, "malformed status line"}
	errChunk        = &Error{Malformed, "malformed chunk"}
	errChunkLong    = &Error{Malformed, "chunk line too long"}
	errTrailer      = &Error{Malformed, "malformed trailer section"}
	errBodyLong     = &Error{BodyTooLong, "body too large"}
)

// ErrPath is for whoever does not tolerate a Request's Flaws.
var ErrPath = &Error{Ambiguous, "ambiguous path"}
