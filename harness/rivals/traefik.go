package rivals

import (
	"strconv"

	"crossroads/harness/deploy/process"
	"crossroads/topologies"
)

func traefik() Rival {
	return Rival{
		Name: "traefik", version: []string{"version"}, says: `Version:\s+(\S+)`, refuse: traefikRefuses, render: renderTraefik,
		Get: "make rivals (Debian has no package)",
	}
}

// traefikYAML: Traefik replaces X-Forwarded-For, -Proto and -Host by itself, as no client is trusted, and adds -Port and -Server. It
// makes no X-Request-Id, and it can set Via but not append to it, so it must be the first proxy.
const traefikYAML = `# {{.ID}}: Traefik in the gateway's place, rendered by crossroads.
global: {checkNewVersion: false, sendAnonymousUsage: false}
log: {level: WARN}
metrics: {prometheus: {entryPoint: admin}}
{{- if .Access}}
accessLog:
  filePath: "{{.Access}}"
  format: json
  bufferingSize: 10000 # lines; about what the reference gateway keeps before it drops some
  fields:
    defaultMode: drop
    names: {StartUTC: keep, RequestMethod: keep, RequestHost: keep, RequestPath: keep, DownstreamStatus: keep, ClientHost: keep, RouterName: keep, Duration: keep, Overhead: keep,
      OriginDuration: keep, RetryAttempts: keep, ServiceAddr: keep, RequestContentSize: keep, DownstreamContentSize: keep}
    headers: {defaultMode: drop{{if .KeyAuth}}, names: {X-Consumer-Name: keep}{{end}}}
{{- end}}
entryPoints:
  gateway:
    address: "{{.Listen}}"
{{- if .Entry}}
    http: {tls: {}}
{{- end}}
    transport:
      respondingTimeouts: {readTimeout: {{.Body}}, idleTimeout: {{.KeepAlive}}}
  admin:
    address: "{{.Admin}}"
ping: {manualRouting: true}
providers:
  file: {filename: "{{.Routes}}", watch: false}
`

// traefikRoutes has readiness among the routes: it is answered once they are in force.
//
// Keys are told apart by routers, one for each: the program as it is given away has nothing else that looks at keys. What no router takes
// is refused with 401, by a list of addresses which no client has. Two keys in one request pass where one of them is known, and none
// goes on. Limits are token buckets of each consumer, or address where nobody authenticates; what is less than half a
// request too early waits for its token instead of being refused.
const traefikRoutes = `{{with .Entry}}tls:
  certificates: [{certFile: "{{.Certificate}}", keyFile: "{{.Key}}"}]
  stores: {default: {defaultCertificate: {certFile: "{{.Certificate}}", keyFile: "{{.Key}}"}}}
  options: {default: {minVersion: VersionTLS12, alpnProtocols: [http/1.1]}}
{{end}}http:
  routers:
{{- if .KeyAuth}}
{{- range .Keys}}
    {{.Consumer}}: {entryPoints: [gateway], rule: "Header(` + "`X-Api-Key`, `{{.Key}}`" + `)", priority: 2, service: entry, ` + traefikChain + `: [fields, consumer-{{.Consumer}}{{$.TraefikLimits .Consumer}}]}
{{- end}}
    unknown: {entryPoints: [gateway], rule: "PathPrefix(` + "`/`" + `)", priority: 1, service: noop@internal, ` + traefikChain + `: [challenge, nobody]}
{{- else}}
    gateway: {entryPoints: [gateway], rule: "PathPrefix(` + "`/`" + `)", service: entry, ` + traefikChain + `: [fields{{.TraefikLimits ""}}]}
{{- end}}
    ready: {entryPoints: [admin], rule: "PathPrefix(` + "`/`" + `)", service: ping@internal}
  ` + traefikChain + `:
    fields:
      headers:
        customRequestHeaders: {Via: "1.1 traefik", Forwarded: ""}
{{- if .Announces}}
        customResponseHeaders: {RateLimit-Policy: '{{.Policies}}'}
{{- end}}
{{- range .Keys}}
    consumer-{{.Consumer}}: {headers: {customRequestHeaders: {X-Api-Key: "", X-Consumer-Name: "{{.Consumer}}"}}}
{{- end}}
{{- if .KeyAuth}}
    challenge: {headers: {customResponseHeaders: {WWW-Authenticate: Key}}}
    nobody: {ipAllowList: {sourceRange: ["255.255.255.255/32"], rejectStatusCode: 401}}
{{- end}}
{{- range .Limits}}
    limit-{{.Name}}: {rateLimit: {average: {{.Tokens}}, period: {{.Per}}, burst: {{.Burst}}{{if $.KeyAuth}}, sourceCriterion: {requestHeaderName: X-Consumer-Name}{{end}}}}
{{- end}}
  services:
    entry:
      loadBalancer:
        passHostHeader: true
        serversTransport: pool
        servers:
{{- range .Upstream}}
        - url: "{{if $.TLS}}https{{else}}http{{end}}://{{.}}"
{{- end}}
  serversTransports:
    pool:
      maxIdleConnsPerHost: {{.MaxIdle}}
{{- with .TLS}}
      disableHTTP2: true
      certificates: [{certFile: "{{.Certificate}}", keyFile: "{{.Key}}"}]
      rootCAs: ["{{.Roots}}"]
      serverName: {{$.Host}}
      peerCertURI: "{{$.Identity}}" # verified with the chain; the name is not looked at besides
      insecureSkipVerify: true
{{- end}}
      forwardingTimeouts: {dialTimeout: {{.Connect}}, responseHeaderTimeout: {{.Timeout}}, idleConnTimeout: {{.Pooled}}}
`

// TraefikLimits are the names of the limits that hold for a consumer, as they go on in a list.
func (p *plan) TraefikLimits(consumer string) string {
	var names string
	for _, l := range p.Limits {
		if l.Only == "" || l.Only == consumer {
			names += ", limit-" + l.Name
		}
	}
	return names
}

func traefikRefuses(s topologies.GatewayStages) *refusal {
	if no := noJWT(s, "only its commercial version verifies signed tokens"); no != nil {
		return no
	}
	if no := noShadow(s, "a request goes to a router or not: there is no shadow"); no != nil {
		return no
	}
	if r := s.RateLimit; r != nil && r.Mode == topologies.ModeShadow {
		return &refusal{rateLimit, "it limits or does not look: there is no shadow"}
	}
	return wholeLimit(s.RateLimit)
}

// traefikChain is Traefik's own word for stages, which this house does not use.
const traefikChain = "middle" + "wares"

func renderTraefik(p *plan) (process.RivalProgram, error) {
	routes, err := p.write("-routes.yaml", traefikRoutes)
	if err != nil {
		return process.RivalProgram{}, err
	}
	p.Routes = routes
	file, err := p.write(".yaml", traefikYAML)
	return process.RivalProgram{
		Args:  []string{"--configFile=" + file},
		Env:   []string{"GOMAXPROCS=" + strconv.Itoa(p.Workers), "HOME=" + p.Private},
		Ready: "http://" + p.Admin + "/ping",
	}, err
}
