package config

import (
	"strings"

	"crossroads/proxies/config/strict"
)

func (c *checker) balance(path string, u Upstream) {
	c.oneOf(path+".balance", "balancer", u.Balance, "round_robin", "least_request", "peak_ewma", "random", "hash")
	if len(u.HashBy) > 0 && u.Balance != "hash" {
		c.fault(path+".hash_by", "hash_by belongs to `balance: hash`")
	}
	for i, k := range u.HashBy {
		at := strict.Index(path+".hash_by", i)
		name, isHeader := strings.CutPrefix(k, "header:")
		if isHeader && !token.MatchString(name) {
			c.fault(at, "%q is not a field name", name)
		}
		if !isHeader {
			c.oneOf(at, "kind of key", k, "consumer", "address", "header:NAME")
		}
	}
}

func (c *checker) breaker(path string, b Breaker) {
	c.oneOf(path+".mode", "mode", string(b.Mode), string(Off), string(Shadow), string(On))
	if b.Mode != On && b.Mode != Shadow {
		return
	}
	if b.ConsecutiveFailures < 1 {
		c.fault(path+".consecutive_failures", "%d: a breaker that is on needs at least 1", b.ConsecutiveFailures)
	}
	if b.MinRequests < 1 {
		c.fault(path+".min_requests", "%d: a rate is taken over at least 1 request", b.MinRequests)
	}
	if b.Open <= 0 {
		c.fault(path+".open", "open is 0: a breaker that is on pauses for some time")
	}
	if b.MaxEjected == 0 {
		c.fault(path+".max_ejected", "max_ejected is 0%%: a breaker that is on may always open for one endpoint; write a share above 0%%")
	}
	c.within(path+".open", b.Open, b.MaxOpen, "max_open")
}

func (c *checker) health(path string, h *Health) {
	if h == nil {
		return
	}
	switch {
	case h.Path == "":
		c.fault(path, "path is missing: write what is asked for, such as /healthz")
	case !strings.HasPrefix(h.Path, "/") || !fieldText(h.Path):
		c.fault(path+".path", "%q is not a path", h.Path)
	}
	if h.Host != "" && !fieldText(h.Host) {
		c.fault(path+".host", "%q is not a host", h.Host)
	}
	if h.Interval <= 0 {
		c.fault(path+".interval", "interval is 0: checks need some time between them")
	}
	if h.Timeout <= 0 {
		c.fault(path+".timeout", "timeout is 0: a check has to end")
	}
	c.within(path+".timeout", h.Timeout, h.Interval, "interval")
	if h.Down < 1 {
		c.fault(path+".down", "%d: at least 1 check fails before an endpoint is down", h.Down)
	}
	if h.Up < 1 {
		c.fault(path+".up", "%d: at least 1 check passes before an endpoint is up", h.Up)
	}
}

// fieldText says whether s can stand in a request head as it is.
func fieldText(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == '#' {
			return false
		}
	}
	return len(s) <= 1024
}

func (c *checker) limits(path string, l Limits) {
	c.notNegative(path+".requests", l.Requests)
	c.notNegative(path+".requests_per_endpoint", l.RequestsPerEndpoint)
	c.notNegative(path+".connections", l.Connections)
	c.notNegative(path+".pending", l.Pending)
	c.notNegative(path+".retries", l.Retries)
}

// maxAttempts bounds what one request may cost its upstream.
const maxAttempts = 10

func (c *checker) retry(path string, r Retry) {
	if r.Attempts < 0 || r.Attempts > maxAttempts {
		c.fault(path+".attempts", "%d is outside 0 to %d", r.Attempts, maxAttempts)
	}
	if r.Attempts < 2 && len(r.Codes) > 0 {
		c.fault(path+".codes", "codes are given, but nothing is tried again: write attempts of 2 or more")
	}
	for i, code := range r.Codes {
		at := strict.Index(path+".codes", i)
		switch {
		case code == 429:
			c.fault(at, "429 sheds load: to ask again at once would undo it")
		case code < 400 || code > 599:
			c.fault(at, "%d is not the status of an error", code)
		}
	}
	if r.Backoff > r.MaxBackoff {
		c.fault(path+".backoff", "backoff is longer than max_backoff, which is %s", r.MaxBackoff)
	}
}

func (c *checker) budget(path string, b RetryBudget) {
	c.notNegative(path+".min_concurrent", b.MinConcurrent)
	if b == (RetryBudget{}) {
		c.fault(path, "the budget allows no retry at all: leave the routes' `retry` out instead")
	}
}
