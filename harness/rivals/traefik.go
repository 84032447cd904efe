package rivals

import (
	"strconv"

	"crossroads/harness/deploy/process"
)

func traefik() Rival {
	return Rival{
		Name: "traefik", version: []string{"version"}, says: `Version:\s+(\S+)`, refuse: forwardsOnly("traefik"), render: renderTraefik,
		Get: "make rivals (Debian has no package)",
	}
}

// traefikYAML: Traefik replaces X-Forwarded-For, -Proto and -Host by itself, as no client is trusted, and adds -Port and -Server. It
// makes no X-Request-Id, and it can set Via but not append to it, so it must be the first proxy.
const traefikYAML = `# {{.ID}}: Traefik in the gateway's place, rendered by crossroads.
global: {checkNewVersion: false, sendAnonymousUsage: false}
log: {level: WARN}
entryPoints:
  gateway:
    address: "{{.Listen}}"
    transport:
      respondingTimeouts: {readTimeout: {{.Body}}, idleTimeout: {{.KeepAlive}}}
  admin:
    address: "{{.Admin}}"
ping: {manualRouting: true}
providers:
  file: {filename: "{{.Routes}}", watch: false}
`

// traefikRoutes has readiness among the routes: it is answered once they are in force.
const traefikRoutes = `http:
  routers:
    gateway: {entryPoints: [gateway], rule: "PathPrefix(` + "`/`" + `)", service: entry, ` + traefikChain + `: [fields]}
    ready: {entryPoints: [admin], rule: "PathPrefix(` + "`/`" + `)", service: ping@internal}
  ` + traefikChain + `:
    fields: {headers: {customRequestHeaders: {Via: "1.1 traefik", Forwarded: ""}}}
  services:
    entry:
      loadBalancer:
        passHostHeader: true
        serversTransport: pool
        servers:
{{- range .Upstream}}
        - url: "http://{{.}}"
{{- end}}
  serversTransports:
    pool:
      maxIdleConnsPerHost: {{.MaxIdle}}
      forwardingTimeouts: {dialTimeout: {{.Connect}}, responseHeaderTimeout: {{.Timeout}}, idleConnTimeout: {{.Pooled}}}
`

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
