package topologies

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"crossroads/proxies/config/strict"
)

// OwnConfig is a gateway's configuration of a user's own, in the place of the rendered one.
type OwnConfig struct {
	File string `yaml:"file" json:"file"`           // relative to the experiment file
	Text string `yaml:"text,omitempty" json:"text"` // what stands in it; filled in when it is read, so that a run keeps it
}

// OwnVariables is what a configuration of one's own may ask for, as {{.Listen}} or {{host .Listen}}: a deployment chooses it.
type OwnVariables struct {
	ID          string   // of the process: gateway-1
	Listen      string   // host:port for the load
	Admin       string   // host:port on which the program must answer 200 once it serves, where the rendered file has it answer there
	Upstream    []string // host:port of every endpoint of the entry service
	Host        string   // name of the entry service
	Identity    string   // SPIFFE ID that an endpoint must prove; "" in plaintext
	TLS         *OwnTLS  // what the gateway proves itself by to endpoints; nil: plaintext
	Entry       *OwnTLS  // and to clients, with tls: on; nil: plaintext
	Private     string   // directory for PID files, sockets, caches: it is not kept
	Access      string   // file for its access log, a line of JSON for each request; "": access_log is off
	Connections int      // the most that the load opens
}

// OwnTLS are files, PEM.
type OwnTLS struct {
	Certificate, Key, Roots, Both string
	Domain                        string // of the identities that are believed
}

const ownVariables = "{{.ID}}, {{.Listen}}, {{.Admin}}, {{.Upstream}}, {{.Host}}, {{.Identity}}, {{.TLS}}, {{.Entry}}, {{.Private}}, {{.Access}}, {{.Connections}}, and {{host ...}} and {{port ...}} of an address"

// Fill puts a deployment's values into the text. An error begins with the file's name, its line and, where known, its column.
func (o *OwnConfig) Fill(v OwnVariables) (string, error) {
	split := func(part int) func(string) (string, error) {
		return func(address string) (string, error) {
			host, port, err := net.SplitHostPort(address)
			return [2]string{host, port}[part], err
		}
	}
	t, err := template.New(filepath.Base(o.File)).Option("missingkey=error").Funcs(template.FuncMap{"host": split(0), "port": split(1)}).Parse(o.Text)
	var b strings.Builder
	if err == nil {
		err = t.Execute(&b, v)
	}
	if err != nil {
		return "", fmt.Errorf("%s; known are %s", strings.TrimPrefix(strings.ReplaceAll(err.Error(), "topologies.OwnVariables", "a gateway's variables"), "template: "), ownVariables)
	}
	return b.String(), nil
}

// UnmarshalNode reads the name of a file, or a mapping with its text besides.
func (o *OwnConfig) UnmarshalNode(n *strict.Node) error {
	if n.Kind == strict.Mapping {
		n.DecodeFields(o)
		return nil
	}
	if n.Kind != strict.Scalar || n.Text == "" {
		return fmt.Errorf("expected the name of a file, found %s", n)
	}
	o.File = n.Text
	return nil
}

// MarshalNode writes what UnmarshalNode reads.
func (o *OwnConfig) MarshalNode() any {
	return struct {
		File string `yaml:"file"`
		Text string `yaml:"text,omitempty"`
	}{o.File, o.Text}
}

// ownConfig reads a gateway's own configuration, unless it stands in the experiment already, and fills it in once to find what is wrong with it.
func (c *checker) ownConfig(path string, g *Gateway) {
	o := g.Config
	if o == nil || o.File == "" {
		return
	}
	if g.Use == Reference || g.Use == Relay {
		c.report(path, "config is for proxies that we did not write: the file of use: %s is rendered from the keys here", g.Use)
		return
	}
	if o.Text == "" {
		file := o.File
		if !filepath.IsAbs(file) {
			file = filepath.Join(filepath.Dir(c.file), file)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			c.report(path, "a configuration of one's own: %v: write its place relative to the experiment file", err)
			return
		}
		o.Text = string(text)
	}
	if strings.TrimSpace(o.Text) == "" {
		c.report(path, "%s is empty", o.File)
		return
	}
	if _, err := o.Fill(c.sample()); err != nil {
		c.report(path, "%v", err)
	}
}

// sample has every variable, so that only what does not exist is a fault.
func (c *checker) sample() OwnVariables {
	v := OwnVariables{ID: "gateway-1", Listen: "127.0.0.1:1", Admin: "127.0.0.1:2", Host: c.e.Application.Entry, Private: "/private", Access: "/private/access.log", Identity: "spiffe://mesh/x",
		TLS: &OwnTLS{"c", "k", "r", "b", "d"}, Entry: &OwnTLS{Certificate: "c", Key: "k", Both: "b"}, Connections: 1}
	for i := range max(1, min(MaxReplicas, c.e.Application.Services.At(c.e.Application.Entry).Replicas)) {
		v.Upstream = append(v.Upstream, fmt.Sprintf("127.0.0.1:%d", 3+i))
	}
	return v
}
