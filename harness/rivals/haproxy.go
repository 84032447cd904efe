package rivals

import (
	"strconv"
	"time"

	"crossroads/harness/deploy/process"
	"crossroads/topologies"
)

func haproxy() Rival {
	return Rival{Name: "haproxy", Get: "make rivals, or apt-get install haproxy (Debian)", version: []string{"-v"}, says: `version (\S+)`, refuse: haproxyRefuses, does: []string{health, leastRequest}, render: renderHaproxy, beside: besideHaproxy}
}

func haproxyRefuses(s topologies.GatewayStages) *refusal {
	if no := noShadow(s, "it is rendered on or off, there is no shadow"); no != nil {
		return no
	}
	r := s.RateLimit
	switch {
	case r == nil || !declared(r.Mode):
	case r.Mode == topologies.ModeShadow:
		return &refusal{rateLimit, "it is rendered on or off, there is no shadow"}
	case time.Duration(float64(r.Burst)/float64(r.Rate)*float64(time.Second)) < 10*time.Millisecond:
		return &refusal{rateLimit, "it counts over a window of burst/rate, which is below 10 ms here: raise the burst"}
	}
	return nil
}

// Milliseconds is the window over which HAProxy counts.
func (l limit) Milliseconds() string { return strconv.FormatInt(l.Window().Milliseconds(), 10) + "ms" }

// haproxyCfg limits by a sliding window of burst/rate, in which burst requests may pass: the same rate in the long run and the same
// burst at once as a token bucket. Requests that it refuses count too, so who hammers on stays refused longer than at the reference
// gateway.
//
// A token's signature is verified for every request: it remembers none.
//
// fd-hard-limit keeps it from sizing its tables by a limit on files of a billion, which containers like to have.
const haproxyCfg = `# {{.ID}}: HAProxy in the gateway's place, rendered by crossroads.
global
    nbthread {{.Workers}}
    fd-hard-limit 65536
{{- if .Entry}}
    ssl-default-bind-options ssl-min-ver TLSv1.2
    ssl-default-bind-ciphersuites {{.Ciphers13}}
    ssl-default-bind-ciphers {{.Ciphers12}}
{{- end}}
{{- if .TLS}}
    ssl-default-server-options ssl-min-ver TLSv1.3
    ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384
{{- end}}

defaults
    mode http
    timeout connect {{.Seconds .Connect}}
    timeout client {{.Seconds .Body}}
    timeout server {{.Seconds .Timeout}}
    timeout http-request {{.Seconds .Header}}
    timeout http-keep-alive {{.Seconds .KeepAlive}}
    unique-id-format %[uuid()]

frontend gateway
    bind {{.Listen}} backlog 4096{{with .Entry}} ssl crt {{.Both}} alpn http/1.1{{end}}
{{- if .Access}}
    log stdout len 4096 format raw local0 # it writes to no file by itself: the harness puts its output into one
    log-format '{"time":"%tr","id":"%ID","method":"%HM","host":"%[var(txn.host),json(utf8s)]","path":"%[var(txn.path),json(utf8s)]","status":%ST,"reason":"%ts","client":"%ci",
{{- if .Knows}}"consumer":"%[var(txn.consumer),json(utf8s)]",{{end}}"duration_ms":%Ta,"upstream_ms":%Tr,"retries":%rc,"endpoint":"%si:%sp","received_bytes":%U,"sent_bytes":%B}'
    http-request set-var(txn.host) req.hdr(Host)
    http-request set-var(txn.path) path
{{- end}}
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto {{if .Entry}}https{{else}}http{{end}}
    http-request set-header X-Forwarded-Host %[req.hdr(Host)]
    http-request del-header X-Real-IP
    http-request del-header Forwarded
    http-request set-header X-Request-Id %[unique-id]
    http-request add-header Via "1.1 haproxy"
    http-response set-header X-Request-Id %[unique-id]
{{- if .KeyAuth}}
    http-request set-var(txn.key) req.hdr(X-Api-Key),sha2(256),hex,lower
{{- range .Keys}}
    http-request set-var(txn.consumer) str({{.Consumer}}) if { var(txn.key) -m str {{.SHA256}} }
{{- end}}
    http-request return status 401 hdr WWW-Authenticate Key if !{ var(txn.consumer) -m found } or { req.hdr_cnt(X-Api-Key) gt 1 }
    http-request del-header X-Api-Key
    http-request set-header X-Consumer-Name %[var(txn.consumer)]
{{- end}}
{{- if .JWT}}
    http-request set-var(txn.token) http_auth_bearer
    http-request set-var(txn.alg) var(txn.token),jwt_header_query('$.alg')
    http-request set-var(txn.iss) var(txn.token),jwt_payload_query('$.iss')
    http-request set-var(txn.aud) var(txn.token),jwt_payload_query('$.aud')
    http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
    http-request set-var(txn.consumer) var(txn.token),jwt_payload_query('$.sub')
    http-request set-var(txn.nbf) var(txn.token),jwt_payload_query('$.nbf','int')
    http-request set-var(txn.now) date(-5)
    http-request set-var(txn.soon) date(5)
    http-request return status 401 hdr WWW-Authenticate Bearer if !{ var(txn.alg) -m str {{.Algorithm}} } or !{ var(txn.iss) -m str {{.Issuer}} } or !{ var(txn.aud) -m str {{.Audience}} } or { req.hdr_cnt(Authorization) gt 1 }
    http-request return status 401 hdr WWW-Authenticate Bearer if !{ var(txn.exp),sub(txn.now) -m int gt 0 } or { var(txn.nbf),sub(txn.soon) -m int gt 0 } or !{ var(txn.consumer) -m found }
    http-request return status 401 hdr WWW-Authenticate Bearer if !{ var(txn.token),jwt_verify(txn.alg,"{{.Key}}") 1 }
    http-request del-header Authorization
    http-request set-header X-Consumer-Name %[var(txn.consumer)]
{{- end}}
{{- range $i, $l := .Limits}}
    http-request track-sc{{$i}} {{if $.Knows}}var(txn.consumer){{else}}src{{end}} table {{.Name}}{{if .Only}} if { var(txn.consumer) -m str {{.Only}} }{{end}}
    http-request return status 429 hdr RateLimit-Policy '{{.Policy}}' hdr Retry-After 1 if { sc_http_req_rate({{$i}},{{.Name}}) gt {{.Burst}} }
{{- end}}
{{- if .Limits}}
    http-response set-header RateLimit-Policy '{{.Policies}}'
{{- end}}
    default_backend entry

backend entry
    balance {{if .LeastRequest}}leastconn{{else}}roundrobin{{end}}
{{- with .Health}}
    option httpchk
    http-check send meth GET uri {{.Path}} ver HTTP/1.1 hdr Host {{$.Host}}
    timeout check {{$.Seconds .Timeout.D}}
{{- end}}
    http-reuse always
{{- range $i, $address := .Upstream}}
    server entry-{{inc $i}} {{$address}} pool-max-conn {{$.MaxIdle}} pool-purge-delay {{$.Seconds $.Pooled}}
{{- with $.Health}} check inter {{$.Seconds .Interval.D}} fall {{.Down}} rise {{.Up}}{{end}}
{{- with $.TLS}} ssl crt {{.Both}} ca-file {{.Roots}} verify required verifyhost {{$.Host}} sni str({{$.Host}}) alpn http/1.1{{end}}
{{- end}}
{{range .Limits}}
backend {{.Name}}
    stick-table type {{if $.Knows}}string len 64{{else}}ipv6{{end}} size 100k expire 1m store http_req_rate({{.Milliseconds}})
{{end}}
` + haproxyAdmin

// haproxyAdmin is the page of counters, which are kept with or without it, and readiness. Some builds have no exporter.
const haproxyAdmin = `frontend ready
    bind {{.Admin}}
.if feature(PROMEX)
    http-request use-service prometheus-exporter if { path /metrics }
.endif
    http-request return status 200 content-type text/plain string ready
`

func renderHaproxy(p *plan) (process.RivalProgram, error) {
	file, err := p.write(".cfg", haproxyCfg)
	// -db: in the foreground. Every address is bound before one is served, so readiness on the one proves the other.
	return process.RivalProgram{Args: []string{"-db", "-f", file}, Ready: "http://" + p.Admin + "/", Out: p.Access}, err
}
