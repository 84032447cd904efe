package conformance

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Judge names what makes the outcome of a case unsafe; "" is nothing.
func (c *Request) Judge(v Visit) string {
	switch {
	case v.Broken != "":
		return v.Broken
	case len(v.Seen) > c.MaxBackend:
		return fmt.Sprintf("%d requests reached the origin, at most %d may", len(v.Seen), c.MaxBackend)
	case c.Close && !v.Ended:
		return "the connection was left open"
	}
	for _, f := range v.Seen {
		if Forbidden(f.Path()) {
			return "the deny rule was passed: " + f.Target()
		}
		if flaw := f.Flaw(); flaw != "" {
			return "forwarded with a wrong " + flaw
		}
	}
	holds, known := checks[c.Check]
	if !known {
		return "unknown check " + c.Check
	}
	if holds != nil && !holds(c, v) {
		return "check " + c.Check
	}
	return ""
}

type check func(c *Request, v Visit) bool

// checks by name. Nil ones hold by the rules that hold for every case.
var checks = map[string]check{
	"": nil, "no_cl_with_te": nil, "te_normalised": nil, "single_cl": nil, "no_raw_ctl": nil, "no_fold": nil, "no_admin": nil,

	"body_5":             bodyIs("hello"),
	"body_10":            bodyIs("0123456789"),
	"host_gw":            each(func(_ *Request, f Forwarded) bool { return f.Get("Host") == "gw.test" }),
	"no_x_drop":          without("X-Drop", "X-Drop2"),
	"no_hop":             without("Keep-Alive", "Connection", "Proxy-Connection", "Upgrade"),
	"no_te_gzip":         each(func(_ *Request, f Forwarded) bool { return !strings.Contains(f.Get("TE"), "gzip") }),
	"no_h2c_forwarded":   each(noH2C),
	"method_unchanged":   each(func(c *Request, f Forwarded) bool { return bytes.HasPrefix(c.Raw, []byte(f.Method()+" ")) }),
	"target_not_decoded": each(targetUnchanged),
	"not_double_decoded": each(targetUnchanged),
	"trailer_not_merged": each(trailerDropped),
	"no_101":             func(_ *Request, v Visit) bool { return !slices.Contains(v.Statuses, 101) },
	"no_1xx":             func(_ *Request, v Visit) bool { return !slices.Contains(v.Statuses, 100) },
	"good_then_400":      func(_ *Request, v Visit) bool { return slices.Equal(v.Statuses, []int{200, 400}) },
	"two_answers_in_order": func(_ *Request, v Visit) bool {
		return len(v.Seen) == 2 && v.Seen[0].Target() == "/t1" && v.Seen[1].Target() == "/t2" && slices.Equal(v.Statuses, []int{200, 200})
	},
	"rules_per_request": func(_ *Request, v Visit) bool {
		return len(v.Seen) < 2 || v.Seen[0].Get("Host") == "gw.test" && v.Seen[1].Get("Host") == "other.test"
	},

	"xff_present":           each(func(_ *Request, f Forwarded) bool { return f.Get("X-Forwarded-For") != "" }),
	"xff_untrusted":         clientOnly("X-Forwarded-For"),
	"realip_untrusted":      clientOnly("X-Real-IP"),
	"xfhost_untrusted":      each(func(_ *Request, f Forwarded) bool { return !strings.Contains(f.Get("X-Forwarded-Host"), "evil") }),
	"alias_untrusted":       each(aliasGone("_")),
	"dot_alias_untrusted":   each(aliasGone(".")),
	"control_hdr_untrusted": each(controlGone),
	"reqid_bounded":         each(func(_ *Request, f Forwarded) bool { return len(f.Get("X-Request-Id")) <= 256 }),
}

func each(holds func(c *Request, f Forwarded) bool) check {
	return func(c *Request, v Visit) bool {
		return !slices.ContainsFunc(v.Seen, func(f Forwarded) bool { return !holds(c, f) })
	}
}

func bodyIs(want string) check {
	return each(func(_ *Request, f Forwarded) bool { return f.Body == want })
}

func without(names ...string) check {
	return each(func(_ *Request, f Forwarded) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return len(f.All(n)) > 0 })
	})
}

// clientOnly holds where a field is gone, or names the client and nobody else.
func clientOnly(name string) check {
	return func(_ *Request, v Visit) bool {
		return !slices.ContainsFunc(v.Seen, func(f Forwarded) bool {
			values := f.All(name)
			return len(values) > 1 || len(values) == 1 && values[0] != v.Client
		})
	}
}

// aliasGone holds where no field is left that a server behind might fold into one that is trusted.
func aliasGone(separator string) func(*Request, Forwarded) bool {
	return func(_ *Request, f Forwarded) bool {
		clean := true
		f.each(func(name, _ string) { clean = clean && !strings.Contains(name, separator) })
		return clean
	}
}

// controlGone holds where no field is left that steers a proxy or says who was authenticated.
func controlGone(_ *Request, f Forwarded) bool {
	clean := true
	f.each(func(name, _ string) {
		for _, prefix := range []string{"x-envoy-", "l5d-", "x-original-", "x-rewrite-", "x-authenticated", "x-consumer-", "x-jwt-"} {
			clean = clean && !strings.HasPrefix(strings.ToLower(name), prefix)
		}
	})
	return clean
}

func noH2C(_ *Request, f Forwarded) bool {
	return !strings.Contains(strings.ToLower(f.Get("Upgrade")), "h2c") && len(f.All("HTTP2-Settings")) == 0
}

func targetUnchanged(c *Request, f Forwarded) bool {
	return bytes.Contains(c.Raw, []byte(" "+f.Target()+" "))
}

func trailerDropped(_ *Request, f Forwarded) bool {
	return f.Body == "hello" && f.Get("Host") == "gw.test" && f.Get("Authorization") == "" && f.Get("Content-Length") != "99"
}
