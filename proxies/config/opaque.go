package config

import (
	"fmt"
	"net/netip"

	"crossroads/proxies/config/strict"
	"crossroads/proxies/config/units"
)

// InboundTCP lets callers reach one port of the application with anything that is no HTTP, inside mTLS. A port that is not listed
// cannot be reached: a caller names a port, never an address.
type InboundTCP struct {
	Port int            `yaml:"port" json:"port"`           // as callers name it
	To   string         `yaml:"to" json:"to"`               // host:port, or unix:/path
	Idle units.Duration `yaml:"idle,omitempty" json:"idle"` // silence both ways after which a connection is ended; 0: never
}

// OutboundTCP is a listener whose connections go to one port of one service as they are.
type OutboundTCP struct {
	Listen  string         `yaml:"listen" json:"listen"`
	Service string         `yaml:"service" json:"service"` // listed or discovered
	Port    int            `yaml:"port" json:"port"`       // as the service's sidecar lists it
	Idle    units.Duration `yaml:"idle,omitempty" json:"idle"`
}

// Transparent is the listener for redirected connections. Their original destination says which service is called, what they carry
// is found out from the first bytes, and connections to no service go on to where they were going.
type Transparent struct {
	Listen      string         `yaml:"listen,omitempty" json:"listen"`
	Detect      units.Duration `yaml:"detect_timeout,omitempty" json:"detect_timeout"`       // for the first bytes; then the connection is opaque
	ServerFirst []int          `yaml:"server_first,omitempty" json:"server_first,omitempty"` // ports whose clients wait for the server to speak
	// Destinations are the upstreams of the file by the IP address and port by which the application knows them.
	Destinations strict.Map[string] `yaml:"destinations,omitempty" json:"destinations"`
	Unknown      string             `yaml:"unknown,omitempty" json:"unknown"` // pass | refuse: connections to no service
	Idle         units.Duration     `yaml:"idle,omitempty" json:"idle"`       // of opaque connections
}

// SidecarTransparent is where redirected connections arrive unless told otherwise.
const SidecarTransparent = "127.0.0.1:4142"

const opaqueIdle = 3600

// SetDefaults fills in what a file may leave out.
func (t *InboundTCP) SetDefaults() { *t = InboundTCP{Idle: seconds(opaqueIdle)} }

// SetDefaults fills in what a file may leave out.
func (t *OutboundTCP) SetDefaults() { *t = OutboundTCP{Idle: seconds(opaqueIdle)} }

// SetDefaults fills in what a file may leave out. The ports are those of MySQL, PostgreSQL's is not among them: its clients speak
// first; SMTP, FTP, POP3, IMAP.
func (t *Transparent) SetDefaults() {
	*t = Transparent{Listen: SidecarTransparent, Detect: 200 * millisecond, Unknown: "pass", Idle: seconds(opaqueIdle),
		ServerFirst: []int{21, 25, 110, 143, 587, 3306}}
}

func (c *checker) port(path string, port int) {
	if port < 1 || port > 65535 {
		c.fault(path, "%d is not a port", port)
	}
}

func (c *checker) inboundTCP(s *Sidecar) {
	seen := map[int]bool{}
	for i, t := range s.Inbound.TCP {
		at := fmt.Sprintf("$.inbound.tcp[%d]", i)
		c.port(at+".port", t.Port)
		c.address(at+".to", t.To, false)
		if seen[t.Port] {
			c.fault(at+".port", "%d stands here twice", t.Port)
		}
		seen[t.Port] = true
	}
	if len(s.Inbound.TCP) > 0 && s.MTLS == "off" {
		c.fault("$.inbound.tcp", "opaque connections travel inside mTLS, which says for which port they are: mtls may not be off")
	}
}

func (c *checker) outboundTCP(s *Sidecar) {
	for i, t := range s.Outbound.TCP {
		at := fmt.Sprintf("$.outbound.tcp[%d]", i)
		c.address(at+".listen", t.Listen, true)
		c.port(at+".port", t.Port)
		if u, listed := s.Outbound.Upstreams.Get(t.Service); !listed && !s.Outbound.Discover {
			c.fault(at+".service", "%q is not among the upstreams, and discover is off", t.Service)
		} else if listed && u.MTLS == "off" {
			c.fault(at+".service", "opaque connections travel inside mTLS: the upstream %q may not say mtls: off", t.Service)
		}
		if s.MTLS == "off" {
			c.fault(at, "opaque connections travel inside mTLS, which says for which port they are: mtls may not be off")
		}
	}
	t := s.Outbound.Transparent
	if t == nil {
		return
	}
	const at = "$.outbound.transparent"
	c.address(at+".listen", t.Listen, true)
	c.oneOf(at+".unknown", "word", t.Unknown, "pass", "refuse")
	for i, p := range t.ServerFirst {
		c.port(fmt.Sprintf("%s.server_first[%d]", at, i), p)
	}
	for address, service := range t.Destinations.All() {
		p := strict.Key(at+".destinations", address)
		c.addresses(p, []string{address}, map[string]bool{})
		if _, listed := s.Outbound.Upstreams.Get(service); !listed {
			c.fault(p, "%q is not among the upstreams", service)
		}
	}
	if t.Detect <= 0 {
		c.fault(at+".detect_timeout", "detect_timeout is 0: a client that waits for the server would wait for ever")
	}
}

// addresses checks by which original destinations a service is known.
func (c *checker) addresses(path string, addresses []string, taken map[string]bool) {
	for i, a := range addresses {
		at := path
		if c.doc.Has(fmt.Sprintf("%s.addresses[%d]", path, i)) {
			at = fmt.Sprintf("%s.addresses[%d]", path, i)
		}
		if p, err := netip.ParseAddrPort(a); err != nil || p.Port() == 0 {
			c.fault(at, "%q is not an address: write an IP address and a port, such as 10.0.0.7:80", a)
		}
		if taken[a] {
			c.fault(at, "%s is the address of another service too", a)
		}
		taken[a] = true
	}
}
