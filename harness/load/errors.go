package load

// Error is the class of a failed sample. Classes are few and fixed, because they are counted and compared between arms: an error
// is never a fast response, and what exactly went wrong is in the logs of the target.
type Error struct{ Class string }

func (e *Error) Error() string { return e.Class }

// The classes. A sample's Err is one of these values itself, so that a failure costs no allocation.
var (
	ErrTimeout   = &Error{"timeout"}    // no complete response within the timeout, counted from due
	ErrRefused   = &Error{"refused"}    // no connection could be had
	ErrReset     = &Error{"reset"}      // the connection ended before the head of the response was complete
	ErrShortBody = &Error{"short_body"} // the connection ended inside the body
	ErrStatus    = &Error{"status"}     // a complete response with a status outside 200-399
	ErrProtocol  = &Error{"protocol"}   // bytes that are not the HTTP/1.1 response to the request
)

// Errors lists every class in the order of this file.
func Errors() []*Error {
	return []*Error{ErrTimeout, ErrRefused, ErrReset, ErrShortBody, ErrStatus, ErrProtocol}
}

// statusError judges a complete response.
func statusError(status int) error {
	if status >= 200 && status < 400 {
		return nil
	}
	return ErrStatus
}
