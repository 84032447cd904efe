package rivals

import (
	"strconv"

	"crossroads/harness/deploy/process"
)

func envoy() Rival {
	return Rival{
		Name: "envoy", version: []string{"--version"}, says: `version: [^/\s]+/([^/\s]+)/`, refuse: forwardsOnly("envoy"), render: renderEnvoy, beside: besideEnvoy,
		Get: "make rivals (Debian has no package)",
	}
}

// envoyYAML lifts the circuit limits, which stand at 1,024 requests under way by default and which the reference gateway has not.
const envoyYAML = `# {{.ID}}: Envoy in the gateway's place, rendered by crossroads.
admin:
  address: {socket_address: {address: "{{host .Admin}}", port_value: {{port .Admin}}}}
static_resources:
  listeners:
  - name: gateway
    address: {socket_address: {address: "{{host .Listen}}", port_value: {{port .Listen}}}}
    tcp_backlog_size: 4096
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: gateway
          codec_type: HTTP1
          use_remote_address: true
          skip_xff_append: true
          always_set_request_id_in_response: true
          server_header_transformation: PASS_THROUGH
          request_headers_timeout: {{.Seconds .Header}}
          stream_idle_timeout: {{.Seconds .Timeout}}
          common_http_protocol_options: {idle_timeout: {{.Seconds .KeepAlive}}}
          route_config:
            name: all
            virtual_hosts:
            - name: all
              domains: ["*"]
              request_headers_to_remove: [forwarded, x-real-ip]
              request_headers_to_add:
              - {header: {key: x-forwarded-for, value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
              - {header: {key: x-forwarded-host, value: "%REQ(:AUTHORITY)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}
              - {header: {key: via, value: "1.1 envoy"}, append_action: APPEND_IF_EXISTS_OR_ADD}
              routes:
              - match: {prefix: "/"}
                route: {cluster: entry, timeout: {{.Seconds .Timeout}}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
  clusters:
  - name: entry
    type: STATIC
    connect_timeout: {{.Seconds .Connect}}
    lb_policy: ROUND_ROBIN
    circuit_breakers: {thresholds: [{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}]}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        common_http_protocol_options: {idle_timeout: {{.Seconds .Pooled}}}
        explicit_http_config: {http_protocol_options: {}}
    load_assignment:
      cluster_name: entry
      endpoints:
      - lb_endpoints:
{{- range .Upstream}}
        - endpoint: {address: {socket_address: {address: "{{host .}}", port_value: {{port .}}}}}
{{- end}}
`

func renderEnvoy(p *plan) (process.RivalProgram, error) {
	file, err := p.write(".yaml", envoyYAML)
	return process.RivalProgram{
		// Without hot restart there is no shared memory between instances, which outlives them.
		Args:  []string{"-c", file, "--concurrency", strconv.Itoa(p.Workers), "--disable-hot-restart", "--log-level", "warning"},
		Ready: "http://" + p.Admin + "/ready",
	}, err
}
