package load

import "slices"

// routes says which way the requests of a target go. Entries are numbered in the order of urls, each once.
type routes struct {
	urls  []string
	kinds []kind
}

// kind is one declared request.
type kind struct {
	first   int     // index of its first message in a group
	calls   int     // that it is made of, each with a message of its own; 0: it goes as a whole, in one
	inOrder bool    // each call waits for the answer of the one before
	to      [][]int // for each message its entries; sequence i goes to entry i % len
}

// parts are the HTTP requests that go out for one declared request: itself, or the calls that it is made of.
func (r Request) parts() []Request {
	if len(r.Calls) == 0 {
		return []Request{r}
	}
	parts := make([]Request, len(r.Calls))
	for i, call := range r.Calls {
		parts[i] = Request{Method: "GET", Path: call.Path, Headers: call.Headers}
	}
	return parts
}

func (t Target) routes() routes {
	var r routes
	number := func(urls []string) []int {
		to := make([]int, len(urls))
		for i, url := range urls {
			if to[i] = slices.Index(r.urls, url); to[i] < 0 {
				to[i], r.urls = len(r.urls), append(r.urls, url)
			}
		}
		return to
	}
	first := 0
	for _, request := range t.Requests {
		k := kind{first: first, calls: len(request.Calls), inOrder: request.InOrder}
		for _, call := range request.Calls {
			if len(call.Entries) == 0 {
				call.Entries = t.Entries
			}
			k.to = append(k.to, number(call.Entries))
		}
		if k.calls == 0 {
			k.to = [][]int{number(t.Entries)}
		}
		first += len(k.to)
		r.kinds = append(r.kinds, k)
	}
	return r
}

// widest is how many connections one arrival may hold at the same time.
func (t Target) widest() int {
	widest := 1
	for _, r := range t.Requests {
		if !r.InOrder {
			widest = max(widest, len(r.Calls))
		}
	}
	return widest
}

// meeting is a worker that gets to an entry.
type meeting struct{ worker, entry int }

// meetings lists who gets to which entry; connections are dealt out in this order. A worker and a list of entries meet in the classes
// of sequence numbers modulo the least common multiple of their counts.
func (r *routes) meetings(workers int) []meeting {
	var all []meeting
	for _, k := range r.kinds {
		for _, to := range k.to {
			for class := range workers * len(to) / gcd(workers, len(to)) {
				if m := (meeting{class % workers, to[class%len(to)]}); !slices.Contains(all, m) {
					all = append(all, m)
				}
			}
		}
	}
	return all
}
