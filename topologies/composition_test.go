package topologies_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/topologies"
)

// page is a request that is made of three calls, two of them to one service, beside a plain one.
const page = `version: 1
name: t
application:
  entry: front
  services:
    front: {script: [{call: deep}]}
    orders: {replicas: 2, work: {wait: {fixed: 4ms}}, script: [{call: deep}]}
    stock: {work: {wait: {fixed: 1ms}}}
    deep: {work: {cpu: 1ms}}
load:
  rates: [100]
  requests:
    - {path: /page, weight: 3, calls: [{service: orders}, {service: orders, path: /7}, {service: stock}]}
    - {path: /, weight: 1}
topologies:
`

// TestWhoMakesTheCalls: what the client sends, and what a user waits for, follows from the arm.
func TestWhoMakesTheCalls(t *testing.T) {
	composed := "gateway: {compose: {/page: {parts: {a: {service: orders, path: /7}, b: {service: orders}, c: {service: stock}}}}}"
	for _, c := range []struct {
		topology string
		trips    topologies.Trips
		origin   time.Duration
	}{
		{"{}", topologies.Trips{Calls: 2.5, Requests: 2.5, InTurn: 1}, 4 * time.Millisecond},
		{"{gateway: {}}", topologies.Trips{Calls: 2.5, Requests: 2.5, InTurn: 1}, 4 * time.Millisecond},
		{"{client: {calls: at_once}}", topologies.Trips{Calls: 2.5, Requests: 2.5, InTurn: 1}, 4 * time.Millisecond},
		{"{client: {calls: in_order}}", topologies.Trips{Calls: 2.5, Requests: 2.5, InTurn: 2.5}, 8500 * time.Microsecond},
		{"{" + composed + "}", topologies.Trips{Calls: 2.5, Requests: 1, InTurn: 1}, 4 * time.Millisecond},
	} {
		a := parse(t, page+"  x: "+c.topology+"\n").Arms()[0]
		require.Equal(t, c.trips, a.Trips(), c.topology)
		require.Equal(t, c.origin, a.OriginTime(), c.topology)
	}
	plain := parse(t, application+"  x: {}\n").Arms()[0]
	require.Equal(t, topologies.Trips{Calls: 1, Requests: 1, InTurn: 1}, plain.Trips())
}

// TestEnteredServices: whatever a request is made of is entered from outside; the entry only where a request goes to it as a whole.
func TestEnteredServices(t *testing.T) {
	e := parse(t, page+"  x: {}\n  m: {gateway: {}, mesh: {}}\n")
	require.Equal(t, []string{"orders", "stock", "front"}, e.Entered())
	require.Equal(t, 5, e.Arms()[0].Edges(), "two calls to deep, three from outside")
	require.Equal(t, 5, e.Arms()[1].EncryptedEdges())
	require.Contains(t, e.Dot(e.Arms()[0]), `"driver" -> "stock"`)

	e = load(t, "aggregation")
	require.Equal(t, []string{"orders", "stock", "price"}, e.Entered())
	require.Equal(t, "orders", e.Application.Entry, "somebody must be, and nobody is more so")
	dot := e.Dot(e.Arms()[4])
	require.Equal(t, 3, strings.Count(dot, `"gateway" -> `), dot)
}
