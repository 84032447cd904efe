package exchange

// Step is what a stage made of a request.
type Step uint8

const (
	Continue Step = iota // on to the next stage
	Answered             // a response is set; the upstream is not asked
	Failed               // x.Fault is set
)

// A Stage sees an exchange up to three times. Phases run on the head; bodies stream past and are not read here.
type Stage interface {
	// Name is the word by which configuration, metrics and the ledger know the stage, such as key_auth.
	Name() string
	// Inward sees the request head on its way to the upstream.
	Inward(x *Exchange) Step
	// Outward sees the final response head, not yet sent, in reverse order; it runs for every stage whose Inward ran. 1xx
	// responses bypass it.
	Outward(x *Exchange)
	// Finish runs once for every Inward that ran, the one that stopped included: after the last byte, an abort or a tunnel's end.
	Finish(x *Exchange, end End)
}

// End says how an exchange ended.
type End uint8

const (
	Complete         End = iota // the response was sent whole
	DownstreamGone              // the client left or could not be written to
	UpstreamCut                 // the upstream ended before its response was complete: the client saw a broken message
	DeadlineExceeded            // the deadline passed while bodies were on their way
	TunnelClosed                // an upgraded connection ended
)

func (e End) String() string {
	return [...]string{"complete", "downstream_gone", "upstream_cut", "deadline_exceeded", "tunnel_closed"}[e]
}

// Forwarder is what stands behind a chain: it sets the response head and body, or a fault. It never answers the client itself.
type Forwarder interface {
	Forward(x *Exchange) Step
}

// Service is what a listener serves. Serve returns when the response head is ready to be sent; Finish when it is over.
type Service interface {
	Serve(x *Exchange)
	Finish(x *Exchange, end End)
}

// ConnStage is a stage for opaque TCP: identity, authorization, limits, bytes.
type ConnStage interface {
	Name() string
	// Admit returns an error where the connection is refused; a *Fault names the reason.
	Admit(c *Conn) error
	Finish(c *Conn, end End)
}

// Conn is one opaque connection in flight.
type Conn struct {
	Peer     Peer
	Upstream string // the service or address asked for
	Port     int    // of the application, as the caller asked for it
	Sent     int64  // bytes towards the downstream
	Received int64  // bytes from the downstream
}
