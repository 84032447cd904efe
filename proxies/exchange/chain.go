package exchange

import "crossroads/proxies/wire"

// Chain is the list of stages around a forwarder. It is immutable once it serves: a changed configuration is a new chain.
type Chain struct {
	Stages  []Stage
	Forward Forwarder
	// OnFault writes the response for a fault; nil writes plain text. It is the one place where faults become responses.
	OnFault func(x *Exchange, f *Fault)
}

// Serve runs the request inward, forwards it unless a stage answered or failed, and runs the response outward.
func (c *Chain) Serve(x *Exchange) {
	step := Continue
	x.Ledger.begin(x.arrived())
	for i, s := range c.Stages {
		x.passed = i + 1
		step = s.Inward(x)
		x.Ledger.claim(&x.Ledger.Stages[i])
		if step != Continue {
			break
		}
	}
	if step == Continue {
		step = c.Forward.Forward(x)
		x.Ledger.claim(&x.Ledger.Upstream)
	}
	if step == Failed {
		c.fault(x)
	}
	for i := x.passed - 1; i >= 0; i-- {
		c.Stages[i].Outward(x)
		x.Ledger.claim(&x.Ledger.Stages[i])
	}
}

// Finish settles every stage whose Inward ran, in reverse order, and gives the upstream's side back.
func (c *Chain) Finish(x *Exchange, end End) {
	x.Release()
	if x.Ledger.On {
		x.Ledger.mark = wire.Now()
	}
	for i := x.passed - 1; i >= 0; i-- {
		c.Stages[i].Finish(x, end)
		x.Ledger.claim(&x.Ledger.Stages[i])
	}
	x.passed = 0
}

func (c *Chain) fault(x *Exchange) {
	f := x.Fault
	x.Release()
	x.ResponseBody = nil
	x.Response.Reset()
	x.Close = x.Close || f.Close
	if c.OnFault != nil {
		c.OnFault(x, f)
		return
	}
	WriteFault(x, f)
}

// WriteFault answers with the fault's status and its reason as plain text.
func WriteFault(x *Exchange, f *Fault) {
	body := f.Reason
	if f.Detail != "" {
		body += ": " + f.Detail
	}
	x.Answer(f.Status, "text/plain; charset=utf-8", body+"\n")
}
