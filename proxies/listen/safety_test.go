package listen_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// judgeSafety names what makes the outcome of a case unsafe; "" is nothing.
func judgeSafety(c requestCase, seen []forwarded, statuses []int, ended bool) string {
	if len(seen) > c.MaxBackend {
		return fmt.Sprintf("%d requests reached the origin, at most %d may", len(seen), c.MaxBackend)
	}
	if c.Close && !ended {
		return "the connection was left open"
	}
	for _, f := range seen {
		if forbidden(f.path()) {
			return "the deny rule was passed: " + f.target()
		}
		if w := f.wellFramed(); w != "" {
			return "forwarded with a wrong " + w
		}
	}
	check, known := checks[c.Check]
	if !known {
		return "unknown check " + c.Check
	}
	if check != nil && !check(c, seen, statuses) {
		return "check " + c.Check
	}
	return ""
}

type check func(c requestCase, seen []forwarded, statuses []int) bool

// checks are those of the corpus. Nil ones hold by the rules for every case, or are about forwarding and trust fields: those belong
// to a stage and are judged with the whole gateway.
var checks = map[string]check{
	"": nil, "no_cl_with_te": nil, "te_normalised": nil, "single_cl": nil, "no_raw_ctl": nil, "no_fold": nil, "no_admin": nil,
	"xff_present": nil, "xff_untrusted": nil, "realip_untrusted": nil, "xfhost_untrusted": nil, "alias_untrusted": nil,
	"dot_alias_untrusted": nil, "control_hdr_untrusted": nil, "reqid_bounded": nil,

	"body_5":             bodyIs("hello"),
	"body_10":            bodyIs("0123456789"),
	"host_gw":            each(func(_ requestCase, f forwarded) bool { return f.get("Host") == "gw.test" }),
	"no_x_drop":          without("X-Drop", "X-Drop2"),
	"no_hop":             without("Keep-Alive", "Connection", "Proxy-Connection", "Upgrade"),
	"no_te_gzip":         each(func(_ requestCase, f forwarded) bool { return !strings.Contains(f.get("TE"), "gzip") }),
	"no_h2c_forwarded":   each(noH2C),
	"method_unchanged":   each(func(c requestCase, f forwarded) bool { return bytes.HasPrefix(c.Raw, []byte(f.method()+" ")) }),
	"target_not_decoded": each(targetUnchanged),
	"not_double_decoded": each(targetUnchanged),
	"trailer_not_merged": each(trailerDropped),
	"no_101":             func(_ requestCase, _ []forwarded, statuses []int) bool { return !slices.Contains(statuses, 101) },
	"no_1xx":             func(_ requestCase, _ []forwarded, statuses []int) bool { return !slices.Contains(statuses, 100) },
	"good_then_400": func(_ requestCase, _ []forwarded, statuses []int) bool {
		return slices.Equal(statuses, []int{200, 400})
	},
	"two_answers_in_order": func(_ requestCase, seen []forwarded, statuses []int) bool {
		return len(seen) == 2 && seen[0].target() == "/t1" && seen[1].target() == "/t2" && slices.Equal(statuses, []int{200, 200})
	},
	"rules_per_request": func(_ requestCase, seen []forwarded, _ []int) bool {
		return len(seen) < 2 || seen[0].get("Host") == "gw.test" && seen[1].get("Host") == "other.test"
	},
}

func each(holds func(c requestCase, f forwarded) bool) check {
	return func(c requestCase, seen []forwarded, _ []int) bool {
		for _, f := range seen {
			if !holds(c, f) {
				return false
			}
		}
		return true
	}
}

func bodyIs(want string) check {
	return each(func(_ requestCase, f forwarded) bool { return f.Body == want })
}

func without(names ...string) check {
	return each(func(_ requestCase, f forwarded) bool {
		for _, n := range names {
			if len(f.all(n)) > 0 {
				return false
			}
		}
		return true
	})
}

func noH2C(_ requestCase, f forwarded) bool {
	return !strings.Contains(strings.ToLower(f.get("Upgrade")), "h2c") && len(f.all("HTTP2-Settings")) == 0
}

func targetUnchanged(c requestCase, f forwarded) bool {
	return bytes.Contains(c.Raw, []byte(" "+f.target()+" "))
}

func trailerDropped(_ requestCase, f forwarded) bool {
	return f.Body == "hello" && f.get("Host") == "gw.test" && f.get("Authorization") == "" && f.get("Content-Length") != "99"
}
