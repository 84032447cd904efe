package rivals

import (
	"strconv"

	"crossroads/harness/deploy/process"
)

// besideEnvoyYAML: identities are verified as the reference sidecar does, by the URI SAN: callers must be of the trust domain, and a
// callee must be who discovery promised. The breaker is Envoy's outlier detection with the reference's number of failures and pauses.
const besideEnvoyYAML = `{{- define "balance"}}
{{- if gt .Workers 1}}
    connection_balance_config: {exact_balance: {}} # callers' connections are few and long-lived
{{- end}}
{{- end}}
{{- define "http"}}
          codec_type: HTTP1
          generate_request_id: true
          preserve_external_request_id: true
          server_header_transformation: PASS_THROUGH
          request_headers_timeout: {{.Seconds .Header}}
          stream_idle_timeout: {{.Seconds .Timeout}}
          common_http_protocol_options: {idle_timeout: {{.Seconds .KeepAlive}}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
{{- end}}
{{- define "cluster"}}
    type: STATIC
    connect_timeout: {{.Seconds .Connect}}
    circuit_breakers: {thresholds: [{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}]}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        common_http_protocol_options: {idle_timeout: {{.Seconds .Pooled}}}
        explicit_http_config: {http_protocol_options: {}}
{{- end}}
{{- define "inbound"}}
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: inbound
{{- template "http" .}}
          route_config:
            name: app
            virtual_hosts:
            - name: app
              domains: ["*"]
              request_headers_to_add: [{header: {key: via, value: "1.1 envoy"}, append_action: APPEND_IF_EXISTS_OR_ADD}]
              routes: [{match: {prefix: "/"}, route: {cluster: app, timeout: {{.Seconds .Timeout}}}}]
{{- end}}
{{- define "tls"}}
          common_tls_context:
            tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}
            tls_certificates: [{certificate_chain: {filename: "{{.TLS.Certificate}}"}, private_key: {filename: "{{.TLS.Key}}"}}]
            alpn_protocols: [http/1.1]
            validation_context:
              trusted_ca: {filename: "{{.TLS.Roots}}"}
{{- end}}
# {{.ID}}: Envoy beside {{.Service}}, rendered by crossroads.
admin:
  address: {socket_address: {address: "{{host .Admin}}", port_value: {{port .Admin}}}}
static_resources:
  listeners:
  - name: inbound
    address: {socket_address: {address: "{{host .Inbound}}", port_value: {{port .Inbound}}}}
    tcp_backlog_size: 4096
{{- template "balance" .}}
    filter_chains:
    - filters:
{{- template "inbound" .}}
{{- with .TLS}}
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
{{- template "tls" $}}
              match_typed_subject_alt_names: [{san_type: URI, matcher: {prefix: "{{.Domain}}"}}]
{{- end}}
{{- if .Ingress}}
  - name: ingress
    address: {socket_address: {address: "{{host .Ingress}}", port_value: {{port .Ingress}}}}
    tcp_backlog_size: 4096
{{- template "balance" .}}
    filter_chains:
    - filters:
{{- template "inbound" .}}
{{- end}}
{{- if .Outbound}}
  - name: outbound
    address: {socket_address: {address: "{{host .Outbound}}", port_value: {{port .Outbound}}}}
    tcp_backlog_size: 4096
{{- template "balance" .}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: outbound
{{- template "http" .}}
          route_config:
            name: services
            virtual_hosts:
{{- range .Callees}}
            - name: {{.Service}}
              domains: ["{{.Service}}"]
              request_headers_to_add: [{header: {key: via, value: "1.1 envoy"}, append_action: APPEND_IF_EXISTS_OR_ADD}]
              routes: [{match: {prefix: "/"}, route: {cluster: "service-{{.Service}}", timeout: {{$.Seconds $.Timeout}}}}]
{{- end}}
{{- end}}
  clusters:
  - name: app
{{- template "cluster" .}}
    load_assignment:
      cluster_name: app
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: "{{host .App}}", port_value: {{port .App}}}}}}]}]
{{- range .Callees}}
  - name: service-{{.Service}}
{{- template "cluster" $}}
    lb_policy: {{if $.LeastRequest}}LEAST_REQUEST{{else}}ROUND_ROBIN{{end}}
{{- if $.Breaker}}
    outlier_detection: {consecutive_5xx: 7, enforcing_success_rate: 0, interval: 1s, base_ejection_time: 1s, max_ejection_time: 60s, max_ejection_percent: 50}
{{- end}}
{{- if $.TLS}}
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
          sni: {{.Service}}
{{- template "tls" $}}
              match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: "{{.Identity}}"}}]
{{- end}}
    load_assignment:
      cluster_name: service-{{.Service}}
      endpoints:
      - lb_endpoints:
{{- range .Endpoints}}
        - endpoint: {address: {socket_address: {address: "{{host .}}", port_value: {{port .}}}}}
{{- end}}
{{- end}}
`

func besideEnvoy(p *sidecarPlan) (process.RivalProgram, error) {
	file, err := p.write(".yaml", besideEnvoyYAML)
	return process.RivalProgram{
		Args:  []string{"-c", file, "--concurrency", strconv.Itoa(p.Workers), "--disable-hot-restart", "--log-level", "warning"},
		Ready: "http://" + p.Admin + "/ready",
	}, err
}
