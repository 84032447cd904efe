package rivals

import "crossroads/harness/deploy/process"

// besideHaproxyCfg: HAProxy verifies a callee's certificate by its DNS name, as nginx does; see there.
const besideHaproxyCfg = `# {{.ID}}: HAProxy beside {{.Service}}, rendered by crossroads.
global
    nbthread {{.Workers}}
    fd-hard-limit 65536
    ssl-default-bind-options ssl-min-ver TLSv1.3
    ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384
    ssl-default-server-options ssl-min-ver TLSv1.3
    ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384

defaults
    mode http
    timeout connect {{.Seconds .Connect}}
    timeout client {{.Seconds .Body}}
    timeout server {{.Seconds .Timeout}}
    timeout http-request {{.Seconds .Header}}
    timeout http-keep-alive {{.Seconds .KeepAlive}}
    unique-id-format %[uuid()]
    http-reuse always

frontend inbound
    bind {{.Inbound}} backlog 4096{{with .TLS}} ssl crt {{.Both}} ca-file {{.Roots}} verify required alpn http/1.1{{end}}
{{- if .Ingress}}
    bind {{.Ingress}} backlog 4096
{{- end}}
    http-request set-header X-Request-Id %[unique-id] unless { req.hdr(X-Request-Id) -m found }
    http-request add-header Via "1.1 haproxy"
    default_backend app

backend app
    server app {{.App}} pool-max-conn {{.MaxIdle}} pool-purge-delay {{.Seconds .Pooled}}
{{- if .Outbound}}

frontend outbound
    bind {{.Outbound}} backlog 4096
    http-request set-header X-Request-Id %[unique-id] unless { req.hdr(X-Request-Id) -m found }
    http-request add-header Via "1.1 haproxy"
{{- range .Callees}}
    use_backend service-{{.Service}} if { req.hdr(Host) -m str {{.Service}} }
{{- end}}
    http-request return status 503 if !{ req.hdr(Host) -m str{{range .Callees}} {{.Service}}{{end}} }
{{- end}}
{{range .Callees}}
backend service-{{.Service}}
    balance {{if $.LeastRequest}}leastconn{{else}}roundrobin{{end}}
{{- $callee := .}}
{{- range $i, $address := .Endpoints}}
    server endpoint-{{inc $i}} {{$address}} pool-max-conn {{$.MaxIdle}} pool-purge-delay {{$.Seconds $.Pooled}}
{{- with $.TLS}} ssl crt {{.Both}} ca-file {{.Roots}} verify required verifyhost {{$callee.Service}} sni str({{$callee.Service}}) alpn http/1.1{{end}}
{{- end}}
{{end}}
` + haproxyAdmin

func besideHaproxy(p *sidecarPlan) (process.RivalProgram, error) {
	file, err := p.write(".cfg", besideHaproxyCfg)
	return process.RivalProgram{Args: []string{"-db", "-f", file}, Ready: "http://" + p.Admin + "/"}, err
}
