package sidecar

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/proxies/exchange"
)

func TestPick(t *testing.T) {
	r := &exchange.Route{}
	up, down := func() bool { return true }, func() bool { return false }
	random := rand.New(rand.NewPCG(1, 2)).IntN
	for name, c := range map[string]struct {
		split splitRoute
		want  []int // shares of 1000
	}{
		"by weight":              {splitRoute{arms: []splitArm{{9, r, up}, {1, r, up}}}, []int{900, 100}},
		"the rest takes over":    {splitRoute{arms: []splitArm{{8, r, down}, {1, r, up}, {1, r, up}}}, []int{0, 500, 500}},
		"no weight":              {splitRoute{arms: []splitArm{{0, r, up}, {1, r, up}}}, []int{0, 1000}},
		"unknown":                {splitRoute{arms: []splitArm{{9, nil, nil}, {1, r, up}}}, []int{0, 1000}},
		"first":                  {splitRoute{first: true, arms: []splitArm{{1, r, up}, {9, r, up}}}, []int{1000, 0}},
		"first available":        {splitRoute{first: true, arms: []splitArm{{1, r, down}, {9, r, up}}}, []int{0, 1000}},
		"none ready: say why":    {splitRoute{arms: []splitArm{{1, r, down}, {1, r, down}}}, []int{1000, 0}},
		"nothing known: nothing": {splitRoute{arms: []splitArm{{1, nil, nil}}}, []int{0}},
	} {
		got := make([]int, len(c.split.arms))
		for range 1000 {
			if a := c.split.pick(random); a != nil {
				for i := range c.split.arms {
					if a == &c.split.arms[i] {
						got[i]++
					}
				}
			}
		}
		for i := range got {
			require.InDelta(t, c.want[i], got[i], 60, name)
		}
	}
}

// plain is an outbound with upstreams in plaintext and whatever else.
func plain(upstreams map[string]string, more string) string {
	var b strings.Builder
	b.WriteString("mtls: off\noutbound:\n  listen: \"127.0.0.1:0\"\n  upstreams:\n")
	for name, address := range upstreams {
		fmt.Fprintf(&b, "    %s: {endpoints: [{address: %q}], breaker: {consecutive_failures: 1, open: 1m}}\n", name, address)
	}
	return b.String() + more
}

func TestSplit(t *testing.T) {
	broken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	broken.Close()
	s := start(t, "orders", plain(map[string]string{"stock": says(t, "old"), "stock-next": says(t, "next"), "stock-broken": broken.Addr().String()}, `
  splits:
    - {name: half, services: [stock], match: [{path: {prefix: /path}}], backends: [{service: stock}, {service: stock-next}]}
    - {name: testers, services: [stock], match: [{path: {prefix: /path}, headers: {X-Tester: "yes"}}], backends: [{service: stock-next}]}
    - {name: fallback, services: [stock-broken], pick: first_available, backends: [{service: stock-broken}, {service: stock}]}
`))
	seen := map[string]int{}
	for range 60 {
		seen[s.call("stock").body]++
		require.Equal(t, "next", s.call("stock", "X-Tester: yes").body)
	}
	require.Len(t, seen, 2)
	require.Equal(t, 60, seen["old"]+seen["next"])
	require.Equal(t, "next", s.call("stock-next").body, "what is not split goes where it is sent")

	require.Equal(t, 503, s.call("stock-broken").StatusCode, "the call that trips the breaker")
	for range 3 {
		require.Equal(t, "old", s.call("stock-broken").body)
	}
	s.shows(fmt.Sprintf(`sidecar_requests_total{classification="success",code="200",destination="stock-next",direction="outbound",source="orders"} %d`, 61+seen["next"]))
}

func TestSplitsOfTheControlPlane(t *testing.T) {
	m := newMesh(t)
	old, next := m.sidecar("stock", inbound(says(t, "old"))), m.sidecar("stock-next", inbound(says(t, "next")))
	orders := m.sidecar("orders", caller)
	services := func(splits string) {
		m.services(fmt.Sprintf("{stock: {identity: %q, endpoints: [{address: %q}]}, stock-next: {identity: %q, endpoints: [{address: %q}]}}\nsplits: [%s]",
			meshID("stock"), old.inboundAt(), meshID("stock-next"), next.inboundAt(), splits))
	}
	becomes := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool { return orders.call("stock", "X-Tester: yes").body == want }, 20*time.Second, time.Millisecond)
	}
	services("")
	becomes("old")
	services(`{name: testers, services: [stock], match: [{headers: {X-Tester: "yes"}}], backends: [{service: stock-next}]}`)
	becomes("next")
	require.Equal(t, "old", orders.call("stock").body)
	services("")
	becomes("old")
}

func TestMirror(t *testing.T) {
	type call struct{ body, tester string }
	copies := make(chan call, 64)
	hold := make(chan struct{})
	shadow := application(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		copies <- call{string(body), r.Header.Get("X-Tester")}
		if r.Header.Get("X-Hold") != "" {
			<-hold
		}
		io.WriteString(w, "nobody sees this")
	}))
	echo := application(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
	s := start(t, "orders", plain(map[string]string{"stock": echo, "shadow": shadow}, `
  splits: [{name: m, services: [stock], backends: [{service: stock}], mirror: {service: shadow}}]
`))
	post := func(body io.Reader, fields ...string) {
		t.Helper()
		req, err := http.NewRequest("POST", "http://"+s.Address("outbound").String()+"/", body)
		require.NoError(t, err)
		req.Host = "stock"
		for i := 0; i+1 < len(fields); i += 2 {
			req.Header.Set(fields[i], fields[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
	}
	small := strings.Repeat("s", maxMirrorBody)
	post(strings.NewReader(small), "X-Tester", "yes")
	require.Equal(t, call{small, "yes"}, <-copies)
	post(nil, "X-Hold", "yes")
	require.Equal(t, call{}, <-copies, "answered, although its copy still waits")
	close(hold)
	post(strings.NewReader(small + "s"))
	post(io.MultiReader(strings.NewReader("of no declared length")))
	s.shows(`sidecar_mirrored_requests_total{destination="shadow",result="body"} 2`)
	require.Empty(t, copies)
}

// Copies beyond the bound are dropped; the calls themselves go on.
func TestMirrorIsBounded(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	shadow := application(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	s := start(t, "orders", plain(map[string]string{"stock": says(t, "one"), "shadow": shadow}, `
  splits: [{name: m, services: [stock], backends: [{service: stock}], mirror: {service: shadow, share: 100%}}]
`))
	for range maxCopies + 7 {
		require.Equal(t, 200, s.call("stock").StatusCode)
	}
	s.shows(`sidecar_mirrored_requests_total{destination="shadow",result="busy"} 7`)
}
