// Package intercept brings connections to a sidecar that were meant for others: it writes the kernel's rules that redirect what an
// application opens and receives, and asks the kernel where a redirected connection was going.
//
// Its one invariant: every rule stands in a table or chains of its own, so that to remove them is to delete those, and what others
// installed is never read, moved or changed. It needs CAP_NET_ADMIN to install and to remove, and nothing to print.
package intercept

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Plan is what is to be redirected.
type Plan struct {
	UID      int    // of the sidecar: its own connections go their way; below 0: none
	Mark     uint32 // of sockets that go their way; 0: none
	Outbound int    // port of the sidecar for connections that the application opens; 0: those are left alone
	Inbound  int    // port of the sidecar for connections from other machines; 0: those are left alone
	SkipOut  []int  // destination ports that are left alone
	SkipIn   []int  // ports of this machine that are left alone, such as one for health checks
	SkipTo   []netip.Prefix
}

// Check says what is missing: without an exemption, the sidecar's own connections would come back to it for ever.
func (p Plan) Check() error {
	switch {
	case p.Outbound == 0 && p.Inbound == 0:
		return errors.New("neither outbound nor inbound connections would be redirected: give a port for one of them")
	case p.Outbound != 0 && p.UID < 0 && p.Mark == 0:
		return errors.New("the sidecar's own connections would be redirected to itself: give its user or a mark")
	case p.Outbound != 0 && p.UID == 0:
		return errors.New("user 0 owns more than the sidecar: let it run as a user of its own")
	}
	for _, port := range slices.Concat([]int{p.Outbound, p.Inbound}, p.SkipOut, p.SkipIn) {
		if port < 0 || port > 65535 {
			return fmt.Errorf("%d is not a port", port)
		}
	}
	return nil
}

// Table is the name under which nftables knows the rules.
const Table = "crossroads_sidecar"

// NFTables writes the rules for `nft -f -`. The first two lines make it the same whether they were installed before or not.
func (p Plan) NFTables() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s\ndelete table inet %s\ntable inet %s {\n", Table, Table, Table)
	if p.Outbound != 0 {
		b.WriteString("\tchain outbound {\n\t\ttype nat hook output priority -100; policy accept;\n")
		if p.UID >= 0 {
			fmt.Fprintf(&b, "\t\tmeta skuid %d return\n", p.UID)
		}
		if p.Mark != 0 {
			fmt.Fprintf(&b, "\t\tmeta mark 0x%x return\n", p.Mark)
		}
		b.WriteString("\t\tfib daddr type local return\n")
		for _, to := range p.SkipTo {
			fmt.Fprintf(&b, "\t\t%s daddr %s return\n", family(to), to)
		}
		ports(&b, p.SkipOut)
		fmt.Fprintf(&b, "\t\tmeta l4proto tcp redirect to :%d\n\t}\n", p.Outbound)
	}
	if p.Inbound != 0 {
		b.WriteString("\tchain inbound {\n\t\ttype nat hook prerouting priority -100; policy accept;\n\t\tiifname \"lo\" return\n")
		ports(&b, append([]int{p.Inbound}, p.SkipIn...))
		fmt.Fprintf(&b, "\t\tfib daddr type local meta l4proto tcp redirect to :%d\n\t}\n", p.Inbound)
	}
	b.WriteString("}\n")
	return b.String()
}

func family(p netip.Prefix) string {
	if p.Addr().Is4() {
		return "ip"
	}
	return "ip6"
}

func ports(b *strings.Builder, ports []int) {
	if len(ports) == 0 {
		return
	}
	words := make([]string, len(ports))
	for i, port := range ports {
		words[i] = strconv.Itoa(port)
	}
	fmt.Fprintf(b, "\t\ttcp dport { %s } return\n", strings.Join(words, ", "))
}

// Chains of iptables.
const (
	chainOut = "CROSSROADS_OUT"
	chainIn  = "CROSSROADS_IN"
)

// IPTables writes the rules for `iptables-restore --noflush`, or for ip6tables-restore with six.
func (p Plan) IPTables(six bool) string {
	var b strings.Builder
	b.WriteString("*nat\n")
	if p.Outbound != 0 {
		fmt.Fprintf(&b, ":%s - [0:0]\n-A OUTPUT -p tcp -j %s\n", chainOut, chainOut)
		rule := func(format string, args ...any) { fmt.Fprintf(&b, "-A "+chainOut+" "+format+"\n", args...) }
		if p.UID >= 0 {
			rule("-m owner --uid-owner %d -j RETURN", p.UID)
		}
		if p.Mark != 0 {
			rule("-m mark --mark 0x%x -j RETURN", p.Mark)
		}
		rule("-m addrtype --dst-type LOCAL -j RETURN")
		for _, to := range p.SkipTo {
			if to.Addr().Is4() != six {
				rule("-d %s -j RETURN", to)
			}
		}
		for _, port := range p.SkipOut {
			rule("-p tcp --dport %d -j RETURN", port)
		}
		rule("-p tcp -j REDIRECT --to-ports %d", p.Outbound)
	}
	if p.Inbound != 0 {
		fmt.Fprintf(&b, ":%s - [0:0]\n-A PREROUTING -p tcp -j %s\n-A %s -i lo -j RETURN\n", chainIn, chainIn, chainIn)
		for _, port := range append([]int{p.Inbound}, p.SkipIn...) {
			fmt.Fprintf(&b, "-A %s -p tcp --dport %d -j RETURN\n", chainIn, port)
		}
		fmt.Fprintf(&b, "-A %s -p tcp -m addrtype --dst-type LOCAL -j REDIRECT --to-ports %d\n", chainIn, p.Inbound)
	}
	b.WriteString("COMMIT\n")
	return b.String()
}
