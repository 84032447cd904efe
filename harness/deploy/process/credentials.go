package process

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"crossroads/harness/deploy"
	"crossroads/proxies/config"
	"crossroads/topologies"
)

// The declared stages with the demonstration credentials, and what parity tries them with.

// stages gives each declared stage what it needs beyond its mode. The limit that parity tries holds for a consumer of its own, so it needs
// authentication; the declared one alone shows itself in the RateLimit fields.
func (l *layout) stages(s topologies.GatewayStages) config.GatewayStages {
	var stages config.GatewayStages
	if s.CORS != nil {
		stages.CORS = &config.CORS{}
		stages.CORS.SetDefaults()
		stages.CORS.Mode, stages.CORS.Origins = config.Mode(s.CORS.Mode), []string{topologies.DemoOrigin}
		stages.CORS.Headers = []string{"X-Api-Key", "Authorization", topologies.OpaqueField}
	}
	if s.KeyAuth != nil {
		stages.KeyAuth = &config.KeyAuth{Mode: config.Mode(s.KeyAuth.Mode), Keys: []config.Key{
			{Consumer: topologies.DemoConsumer, SHA256: hashOf(deploy.DemoKey)},
			{Consumer: deploy.ProbeConsumer, SHA256: hashOf(deploy.ProbeKey)},
		}}
	}
	if s.JWT != nil {
		stages.JWT = &config.JWT{}
		stages.JWT.SetDefaults()
		stages.JWT.Mode, stages.JWT.Keys.File, stages.JWT.Algorithms = config.Mode(s.JWT.Mode), l.keySet(), []string{topologies.Algorithm}
		stages.JWT.Issuers, stages.JWT.Audiences = []string{topologies.DemoIssuer}, []string{topologies.DemoAudience}
	}
	if s.Introspection != nil {
		stages.Introspection = l.introspection(s.Introspection)
	}
	if s.Authorization != nil {
		stages.Authorization = authorization(s)
	}
	if s.RateLimit != nil {
		stages.RateLimit = rateLimit(s)
	}
	return stages
}

func (l *layout) introspection(s *topologies.IntrospectionStage) *config.Introspection {
	i := &config.Introspection{}
	i.SetDefaults()
	i.Mode, i.MaxAge, i.URL = config.Mode(s.Mode), s.MaxAge, "http://"+l.issuer.ports[portHTTP]+"/introspect"
	i.ClientID, i.ClientSecret.File = issuerClient, l.issuerSecret()
	i.Issuers, i.Token.Header = []string{topologies.DemoIssuer}, topologies.OpaqueField // Authorization may hold the signed token
	return i
}

// authorization denies one path to everybody, and lets through whoever authenticated, or everybody where nobody has to.
func authorization(s topologies.GatewayStages) *config.Access {
	allow := config.AccessRule{Name: "everybody", Action: "allow", Paths: []config.PathMatch{{Prefix: "/"}}}
	if authenticates(s, topologies.ModeOn) {
		allow = config.AccessRule{Name: "known", Action: "allow", Consumers: []string{"*"}}
	}
	return &config.Access{Mode: config.Mode(s.Authorization.Mode), Rules: []config.AccessRule{
		{Name: "denied", Action: "deny", Paths: []config.PathMatch{{Prefix: topologies.DeniedPath}}}, allow,
	}}
}

func rateLimit(s topologies.GatewayStages) *config.RateLimit {
	limit := &config.RateLimit{}
	limit.SetDefaults()
	limit.Mode = config.Mode(s.RateLimit.Mode)
	limit.Policies = []config.RateLimitPolicy{{Name: deploy.DeclaredPolicy, Rate: s.RateLimit.Rate, Burst: s.RateLimit.Burst}}
	if authenticates(s, topologies.ModeOn, topologies.ModeShadow) {
		limit.Policies = append(limit.Policies, config.RateLimitPolicy{
			Name: "probe", Key: []string{"consumer"}, Rate: deploy.ProbeRate, Burst: deploy.ProbeBurst, Only: []string{deploy.ProbeConsumer},
		})
	}
	return limit
}

// authenticates says whether a stage finds out who asks, in one of the modes.
func authenticates(s topologies.GatewayStages, modes ...string) bool {
	for _, stage := range []string{topologies.StageKeyAuth, topologies.StageJWT, topologies.StageIntrospection} {
		for _, mode := range modes {
			if s.Mode(stage) == mode {
				return true
			}
		}
	}
	return false
}

func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// issuerClient is the name by which a gateway asks the authorization server.
const issuerClient = "gateway"

// Files of the credentials. The key set is public and is kept with the run; the secret goes with the deployment.
func (l *layout) keySet() string       { return filepath.Join(l.logs, "keys.json") }
func (l *layout) publicKey() string    { return filepath.Join(l.logs, "key.pem") }
func (l *layout) issuerSecret() string { return filepath.Join(l.private, "issuer-secret") }

// writeCredentials writes the key where a gateway reads it, as a set and in PEM. Every gateway of a deployment reads the same.
func (l *layout) writeCredentials() error {
	if l.arm.Topology.Gateway.Stages.JWT == nil {
		return nil
	}
	for file, text := range map[string][]byte{l.keySet(): append(topologies.KeySet(), '\n'), l.publicKey(): topologies.PublicKey()} {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return fmt.Errorf("writing a key of tokens: %w", err)
		}
	}
	return nil
}

// issuer writes what the authorization server knows, and the secret by which the gateways ask it.
func (d *Deployer) issuer(l *layout, n *node) (program, error) {
	secret, err := writeSecret(l.issuerSecret())
	if err != nil {
		return program{}, err
	}
	knows, err := json.Marshal(map[string]any{ // workload.IssuerConfig
		"client": issuerClient, "secret": secret, "issuer": topologies.DemoIssuer,
		"tokens": map[string]string{topologies.DemoOpaque: topologies.DemoConsumer, deploy.ProbeOpaque: deploy.ProbeConsumer},
	})
	if err != nil {
		return program{}, fmt.Errorf("rendering what %s knows: %w", n.ID, err)
	}
	file := filepath.Join(l.private, n.ID+".json")
	if err := os.WriteFile(file, knows, 0o600); err != nil {
		return program{}, fmt.Errorf("writing what %s knows: %w", n.ID, err)
	}
	address := n.ports[portHTTP]
	return program{
		path: d.config.Binaries[deploy.KindWorkload], args: []string{"issuer", "--config", file, "--listen", address},
		ready: "http://" + address + "/healthz",
	}, nil
}

// writeSecret draws a secret and writes it where only its user reads it.
func writeSecret(file string) (string, error) {
	var drawn [32]byte
	if _, err := rand.Read(drawn[:]); err != nil {
		return "", fmt.Errorf("drawing a secret: %w", err)
	}
	secret := hex.EncodeToString(drawn[:])
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("writing a secret: %w", err)
	}
	return secret, nil
}
