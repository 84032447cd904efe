package upstream

import (
	"io"
	"time"

	"crossroads/proxies/exchange"
	"crossroads/proxies/faults"
	"crossroads/proxies/wire"
)

// Faults is asked, where it is not nil, what is to go wrong on purpose. *faults.Plan is one.
type Faults interface {
	Dial() faults.Deed
	Handshake() faults.Deed
	Response(x *exchange.Exchange) faults.Deed
}

// spoil does to a response whose head has come what its deed says: it is late, or its body ends in the middle. A response without a body
// has no middle and passes.
func (u *Upstream) spoil(x *exchange.Exchange) {
	d := u.faults.Response(x)
	if d.Wait > 0 {
		if !x.Deadline.IsZero() {
			d.Wait = min(d.Wait, time.Until(x.Deadline))
		}
		time.Sleep(d.Wait)
	}
	if d.Reset && x.ResponseBody != nil {
		x.ResponseBody = &halved{Body: x.ResponseBody, left: max(0, int(x.ResponseBody.Length()/2))}
	}
}

// halved is a body of which the second half never comes; of one that declares no length nothing comes.
type halved struct {
	wire.Body
	left int
}

// Read implements wire.Body.
func (h *halved) Read(p []byte) (int, error) {
	if h.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := h.Body.Read(p[:min(len(p), h.left)])
	h.left -= n
	return n, err
}

// Buffered implements wire.Body.
func (h *halved) Buffered() ([]byte, bool) {
	data, _ := h.Body.Buffered()
	return data[:min(len(data), max(0, h.left))], false
}
