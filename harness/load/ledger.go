package load

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"crossroads/results"
)

// LedgerHeader asks proxies and application to tell in Server-Timing where a request's time went.
const LedgerHeader = "X-Crossroads-Ledger"

// asks says whether a request keeps a ledger: one in four, spread over workers and connections, the same ones in every arm.
func asks(seq int) bool { return uint64(seq)*0x9e3779b97f4a7c15>>62 == 0 }

// ledger gathers what sampled requests told of their time. A part is PROXY.WHAT as Server-Timing names it; own of a proxy and app of a
// service are whole and disjoint, the others are parts of own, or waits.
type ledger struct {
	samples   int64
	parts     map[string]*ledgerPart
	service   *hdrhistogram.Histogram
	remainder *hdrhistogram.Histogram
	negative  int64 // requests whose parts came to more than their service time
}

type ledgerPart struct{ count, sum int64 }

func newLedger() *ledger {
	return &ledger{parts: map[string]*ledgerPart{}, service: results.NewTimes(), remainder: results.NewTimes()}
}

// take records one request: timing is its Server-Timing.
func (l *ledger) take(timing []byte, service time.Duration) {
	var told int64
	whole := false
	for len(timing) > 0 {
		var one []byte
		one, timing, _ = bytes.Cut(timing, []byte{','})
		name, value, ok := bytes.Cut(bytes.TrimSpace(one), []byte(";dur="))
		dot := bytes.LastIndexByte(name, '.')
		ms, err := strconv.ParseFloat(string(value), 64)
		if !ok || dot <= 0 || err != nil || !(ms >= 0 && ms < 1e6) {
			continue // of somebody who speaks of something else
		}
		ns := int64(ms * 1e6)
		p := l.parts[string(name)]
		if p == nil {
			p = &ledgerPart{}
			l.parts[string(name)] = p
		}
		p.count, p.sum = p.count+1, p.sum+ns
		if what := string(name[dot+1:]); what == results.LedgerOwn || what == results.LedgerApp {
			told += ns
			whole = whole || what == results.LedgerApp
		}
	}
	if !whole { // without the application's own time nothing can be left over
		return
	}
	l.samples++
	if told > int64(service) {
		l.negative++
	}
	record(l.service, service)
	record(l.remainder, service-time.Duration(told))
}

func (l *ledger) add(o *ledger) error {
	l.samples, l.negative = l.samples+o.samples, l.negative+o.negative
	for name, p := range o.parts {
		if l.parts[name] == nil {
			l.parts[name] = &ledgerPart{}
		}
		l.parts[name].count += p.count
		l.parts[name].sum += p.sum
	}
	if dropped := l.service.Merge(o.service) + l.remainder.Merge(o.remainder); dropped != 0 {
		return fmt.Errorf("merging ledgers dropped %d values", dropped)
	}
	return nil
}

// result is the ledger as it is recorded; nil where no request told anything.
func (l *ledger) result() (*results.Ledger, error) {
	if l.samples == 0 {
		return nil, nil
	}
	r := &results.Ledger{Samples: l.samples, Negative: l.negative}
	for name, p := range l.parts {
		dot := bytes.LastIndexByte([]byte(name), '.')
		r.Parts = append(r.Parts, results.LedgerPart{Proxy: name[:dot], Part: name[dot+1:], Count: p.count, Sum: p.sum})
	}
	slices.SortFunc(r.Parts, func(a, b results.LedgerPart) int {
		return cmp.Or(cmp.Compare(a.Proxy, b.Proxy), cmp.Compare(a.Part, b.Part))
	})
	var err error
	if r.Service, err = results.Encode(l.service); err != nil {
		return nil, fmt.Errorf("the ledger's service times: %w", err)
	}
	if r.Remainder, err = results.Encode(l.remainder); err != nil {
		return nil, fmt.Errorf("the ledger's remainders: %w", err)
	}
	return r, nil
}
