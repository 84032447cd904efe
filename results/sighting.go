package results

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Sighting is what was seen of an arm in one round before it was loaded: what its proxies did when they were asked, and how they speak TLS.
// Parity asks in order to keep out what does other work than declared; what it saw on the way is kept here.
type Sighting struct {
	Round      int         `json:"round"`
	Arm        string      `json:"arm"`
	Probes     []Probe     `json:"probes,omitempty"`
	Handshakes []Handshake `json:"handshakes,omitempty"`
}

// Probe is one thing that was asked of an arm, and what came of it. Only what is declared is told: that a stage which is off does not act
// is asked too, and keeps an arm out where it fails.
type Probe struct {
	Place    string `json:"place"`   // whose feature it is: gateway or sidecars
	Feature  string `json:"feature"` // forwarding, hops, fields, keep_alive, mtls, or as in ArmInfo.Features: key_auth, cors=shadow, retries
	Asked    string `json:"asked"`
	Answered string `json:"answered"`
	Told     bool   `json:"told,omitempty"`   // the proxy said so of itself; it was not seen to act
	Lacks    bool   `json:"lacks,omitempty"`  // it does not do this, which was not demanded
	Failed   bool   `json:"failed,omitempty"` // it is not as declared
}

// Places of a feature.
const (
	PlaceGateway  = "gateway"
	PlaceSidecars = "sidecars"
)

// Handshake is how a proxy answers a TLS client.
type Handshake struct {
	At      string `json:"at"`      // entry: the load's own connection; inbound: of a sidecar
	Process string `json:"process"` // gateway-1, sidecar-orders-1
	Seen    string `json:"seen"`    // between: two proxies' own, watched; probe: of a client that takes whatever it is offered
	Version string `json:"version"` // TLS 1.3
	Cipher  string `json:"cipher"`  // TLS_AES_128_GCM_SHA256
	Chain   int    `json:"chain,omitempty"`
}

// How a handshake was seen.
const (
	SeenBetween = "between"
	SeenByProbe = "probe"
)

// Refusal is something that a proxy is not deployed for, found by asking without deploying it.
type Refusal struct {
	Place   string `json:"place"`
	Use     string `json:"use"` // nginx, caddy, ...
	Feature string `json:"feature"`
	Reason  string `json:"reason"`
}

// See records what was seen of an arm in a round. A run that was begun before there were sightings gets its file with the first.
func (r *Run) See(s Sighting) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := writeNew(r.sightings.path, nil)
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err == nil {
		err = r.sightings.append(s)
	}
	if err != nil {
		return fmt.Errorf("recording what was seen of %s in round %d: %w", s.Arm, s.Round, err)
	}
	return nil
}

// Sightings returns what was seen, in order; none of a run that was begun before there were any.
func (r *Run) Sightings() ([]Sighting, []Warning, error) {
	if _, err := os.Lstat(r.sightings.path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	var all []Sighting
	warnings, err := r.sightings.read(func(_ int, value []byte) error {
		var s Sighting
		if err := json.Unmarshal(value, &s); err != nil {
			return err
		}
		all = append(all, s)
		return nil
	})
	return all, warnings, err
}
