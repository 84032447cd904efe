package stage_test

import (
	"strings"
	"testing"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/stage"
)

// visible keeps what wire lets through in a query.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || r == '#' || r == '"' {
			return -1
		}
		return r
	}, s)
}

// Whatever else stands in a query or a cookie, a key that authenticated never goes on, and the path stays what it was.
func FuzzKeyIsRemoved(f *testing.F) {
	f.Add("a=b&c", "d&&=", false)
	f.Add("api%5Fkey", "%", true)
	f.Add("", "&&&", false)
	f.Add("k=v; ", `x="y"; ;`, true)
	f.Fuzz(func(t *testing.T, before, after string, cookie bool) {
		before, after = visible(before), visible(after)
		r := request{Target: "/p?" + before + "&api_key=demo&" + after}
		if cookie {
			r = request{Target: "/p?" + before, Fields: []string{"Cookie: " + before + "; key=demo; " + after}}
		}
		x := through(r, stage.NewForwarding(0), keyAuth(config.On)(t))
		if x.Fault == exchange.Unauthenticated {
			return // the rest held another key
		}
		if string(x.Path) != "/p" {
			t.Fatalf("the path became %q", x.Path)
		}
		again := x.Request.Header.RequestURI()
		for pair := range strings.SplitSeq(strings.TrimPrefix(string(again), "/p?"), "&") {
			if pair == "api_key=demo" {
				t.Fatalf("the key went on: %s", again)
			}
		}
		for _, line := range field(x, "Cookie") {
			if strings.Contains(line, "key=demo") && !strings.Contains(before+after, "key=demo") && !strings.HasSuffix(before, "key=demo") {
				t.Fatalf("the key went on: %s", line)
			}
		}
	})
}

// However the list is written, the client is an address of it or the peer, and the list goes on with the peer at its end.
func FuzzForwardedFor(f *testing.F) {
	f.Add("10.0.0.1, 10.0.0.2", uint8(1))
	f.Add(",,[::1]:80, fe80::1%eth0", uint8(3))
	f.Fuzz(func(t *testing.T, list string, hops uint8) {
		x := through(request{Fields: []string{"X-Forwarded-For: " + visible(list)}}, stage.NewForwarding(int(hops%8)))
		if !x.Peer.Client.IsValid() || x.Peer.Client.Zone() != "" {
			t.Fatalf("client %v", x.Peer.Client)
		}
		sent := field(x, "X-Forwarded-For")
		if len(sent) != 1 || !strings.HasSuffix(sent[0], "192.0.2.7") {
			t.Fatalf("sent %q", sent)
		}
	})
}
