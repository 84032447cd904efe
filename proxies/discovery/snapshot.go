// Package discovery is how a proxy learns where services are: the messages that a control plane sends, and the client that receives
// them over mutual TLS.
//
// Its one invariant: what is in force is always one whole snapshot, the last that was understood. A lost connection, a restarted
// control plane or a message from a newer one never leaves a proxy with less than it had. The package balances nothing and knows no
// upstream; it hands snapshots to whoever applies them.
//
// The stream is the answer to one HTTP GET: a JSON object a line. The first line is a snapshot, every snapshot is complete, and lines
// without one say that the connection lives.
package discovery

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"crossroads/proxies/config"
)

// Path is where a control plane streams messages.
const Path = "/v1/snapshots"

// Format is the version of the messages. A client refuses another.
const Format = 1

// MaxMessage bounds one line, in bytes: some hundred thousand endpoints.
const MaxMessage = 32 << 20

// Heartbeat is the longest silence of a stream that lives.
const Heartbeat = 5 * time.Second

// Message is one line of the stream.
type Message struct {
	Format   int       `json:"format"`
	Snapshot *Snapshot `json:"snapshot,omitempty"` // nil: a heartbeat
}

// Snapshot is everything that a control plane has to say, at one version. It never changes once published: whoever receives it may
// keep it and may not write to it.
type Snapshot struct {
	Version   uint64             `json:"version"`   // grows with every change, over restarts too
	Published time.Time          `json:"published"` // by the control plane's clock
	Bundle    string             `json:"bundle"`    // PEM: the roots of the trust domain
	Services  map[string]Service `json:"services"`
	// Authorization holds in the whole mesh; nil: everybody may call everything.
	Authorization *Authorization `json:"authorization,omitempty"`
	Splits        []config.Split `json:"splits,omitempty"`
}

// Service is where one service can be reached.
type Service struct {
	Protocol  string            `json:"protocol"` // http
	Identity  string            `json:"-"`        // that the file of services promises; endpoints carry their own
	Endpoints []config.Endpoint `json:"endpoints"`
	Addresses []string          `json:"addresses,omitempty"` // IP address and port by which applications know it
}

// ErrNotUnderstood is wrapped by errors about messages of a shape or meaning that this version does not know. Such a message is not
// applied in part: it might hold the very thing that forbids the rest.
var ErrNotUnderstood = errors.New("not understood")

// Encode writes a message as one line.
func Encode(m Message) ([]byte, error) {
	line, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("writing a discovery message: %w", err)
	}
	return append(line, '\n'), nil
}

// Decode reads one line. A field that it does not know is an error: it fails closed.
func Decode(line []byte) (Message, error) {
	var m Message
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return Message{}, unreadable(line, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Message{}, errors.New("reading a discovery message: more than one value on a line")
	}
	if m.Format != Format {
		return Message{}, wrongFormat(m.Format)
	}
	if m.Snapshot != nil {
		if err := m.Snapshot.check(); err != nil {
			return Message{}, fmt.Errorf("snapshot %d: %w: %w", m.Snapshot.Version, ErrNotUnderstood, err)
		}
	}
	return m, nil
}

// unreadable tells a line that is no JSON, which ends the connection, from one whose meaning is not known. Of another format nothing
// else is expected to be known, so that is what the error says.
func unreadable(line []byte, cause error) error {
	if !json.Valid(line) {
		return fmt.Errorf("reading a discovery message: %w", cause)
	}
	var other struct {
		Format int `json:"format"`
	}
	if json.Unmarshal(line, &other) == nil && other.Format != Format {
		return wrongFormat(other.Format)
	}
	return fmt.Errorf("reading a discovery message: %w: %w", ErrNotUnderstood, cause)
}

func wrongFormat(format int) error {
	return fmt.Errorf("a discovery message of format %d, known is %d: %w", format, Format, ErrNotUnderstood)
}

// check refuses what could not be applied whole.
func (s *Snapshot) check() error {
	if s.Version == 0 {
		return errors.New("no version")
	}
	if s.Bundle == "" {
		return errors.New("no trust bundle")
	}
	for name, service := range s.Services {
		if name == "" {
			return errors.New("a service without a name")
		}
		if service.Protocol != "http" {
			return fmt.Errorf("service %s: protocol %q", name, service.Protocol)
		}
		for i, e := range service.Endpoints {
			if e.Address == "" {
				return fmt.Errorf("service %s, endpoint %d: no address", name, i+1)
			}
			if e.Weight < 0 {
				return fmt.Errorf("service %s, endpoint %s: weight %d", name, e.Address, e.Weight)
			}
			if u, err := url.Parse(e.Identity); e.Identity != "" && (err != nil || u.Scheme != "spiffe") {
				return fmt.Errorf("service %s, endpoint %s: identity %q", name, e.Address, e.Identity)
			}
		}
	}
	return nil
}
