package rivals

import (
	"strconv"

	"crossroads/harness/deploy/process"
	"crossroads/topologies"
)

func envoy() Rival {
	return Rival{
		Name: "envoy", version: []string{"--version"}, says: `version: [^/\s]+/([^/\s]+)/`, refuse: envoyRefuses, does: []string{retries, breaker, health, leastRequest}, render: renderEnvoy, beside: besideEnvoy,
		Get: "make rivals (Debian has no package)",
	}
}

func envoyRefuses(s topologies.GatewayStages) *refusal {
	if no := noShadow(s, "its filter refuses or is absent: there is no shadow"); no != nil {
		return no
	}
	return wholeLimit(s.RateLimit)
}

// envoyStages are the filters for the declared stages. Keys are compared as they are. A token is verified once and then remembered, as by
// the reference gateway. Limits are token buckets of continuous refill, as the
// reference gateway's: one for every consumer, or address where nobody authenticates, made when it is first seen; the policy of one
// consumer is a descriptor that nobody else's requests have. The bucket beside the descriptors is for requests without one, of which there
// are none.
const envoyStages = `{{define "bucket"}}token_bucket: {max_tokens: {{.Burst}}, tokens_per_fill: {{.Tokens}}, fill_interval: {{.Per}}}{{end}}
{{- define "stages"}}
{{- if .KeyAuth}}
          - name: envoy.filters.http.api_key_auth
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth
              key_sources: [{header: X-Api-Key}]
              credentials:
{{- range .Keys}}
              - {key: "{{.Key}}", client: "{{.Consumer}}"}
{{- end}}
              forwarding: {header: X-Consumer-Name, hide_credentials: true}
{{- end}}
{{- if .JWT}}
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers:
                demonstration:
                  issuer: "{{.Issuer}}"
                  audiences: ["{{.Audience}}"]
                  require_expiration: true
                  clock_skew_seconds: 5
                  local_jwks: {filename: "{{.KeySet}}"}
                  from_headers: [{name: Authorization, value_prefix: "Bearer "}]
                  claim_to_headers: [{header_name: x-consumer-name, claim_name: sub}]
                  jwt_cache_config: {jwt_cache_size: 10000}
              rules: [{match: {prefix: "/"}, requires: {provider_name: demonstration}}]
{{- end}}
{{- with .Limits}}
          - name: envoy.filters.http.local_ratelimit
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: limits
              filter_enabled: {default_value: {numerator: 100}}
              filter_enforced: {default_value: {numerator: {{if (index . 0).Shadow}}0{{else}}100{{end}}}}
              {{template "bucket" index . 0}}
              always_consume_default_token_bucket: false
              max_dynamic_descriptors: 100000
              rate_limits:
{{- range .}}
{{- if .Only}}
              - actions: [{header_value_match: {descriptor_key: {{.Name}}, descriptor_value: "{{.Only}}", headers: [{name: x-consumer-name, string_match: {exact: "{{.Only}}"}}]}}]
{{- else if $.Knows}}
              - actions: [{request_headers: {header_name: x-consumer-name, descriptor_key: {{.Name}}}}]
{{- else}}
              - actions: [{remote_address: {}}]
{{- end}}
{{- end}}
              descriptors:
{{- range .}}
              - entries: [{ {{- if .Only}}key: {{.Name}}, value: "{{.Only}}"{{else if $.Knows}}key: {{.Name}}{{else}}key: remote_address{{end -}} }]
                {{template "bucket" .}}
{{- end}}
              response_headers_to_add:
              - {header: {key: retry-after, value: "1"}}
{{- if not (index . 0).Shadow}}
              - {header: {key: ratelimit-policy, value: '{{$.Policies}}'}}
{{- end}}
{{- end}}
{{- end}}
`

// envoyYAML lifts the circuit limits, which stand at 1,024 requests under way by default and which the reference gateway has not.
const envoyYAML = envoyStages + `# {{.ID}}: Envoy in the gateway's place, rendered by crossroads.
admin:
  address: {socket_address: {address: "{{host .Admin}}", port_value: {{port .Admin}}}}
static_resources:
  listeners:
  - name: gateway
    address: {socket_address: {address: "{{host .Listen}}", port_value: {{port .Listen}}}}
    tcp_backlog_size: 4096
{{- if gt .Workers 1}}
    connection_balance_config: {exact_balance: {}} # the load's connections are few and long-lived
{{- end}}
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
{{- if .Access}}
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: "{{.Access}}"
              log_format:
                json_format:
                  time: "%START_TIME%"
                  id: "%REQ(X-REQUEST-ID)%"
                  method: "%REQ(:METHOD)%"
                  host: "%REQ(:AUTHORITY)%"
                  path: "%PATH(NQ)%"
                  status: "%RESPONSE_CODE%"
                  reason: "%RESPONSE_CODE_DETAILS%"
                  client: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"
{{- if .Knows}}
                  consumer: "%REQ(X-CONSUMER-NAME)%"
{{- end}}
                  duration_ms: "%DURATION%"
                  upstream_ms: "%RESPONSE_DURATION%"
                  attempts: "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"
                  endpoint: "%UPSTREAM_HOST%"
                  received_bytes: "%BYTES_RECEIVED%"
                  sent_bytes: "%BYTES_SENT%"
{{- end}}
{{- if or .KeyAuth .JWT}}
          local_reply_config:
            mappers:
{{- end}}
{{- if .KeyAuth}}
            - filter: {status_code_filter: {comparison: {op: EQ, value: {default_value: 401, runtime_key: unused}}}}
              headers_to_add: [{header: {key: www-authenticate, value: Key}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}] # RFC 9110 15.5.2
{{- end}}
{{- if .JWT}}
            - filter: {status_code_filter: {comparison: {op: EQ, value: {default_value: 403, runtime_key: unused}}}}
              status_code: 401 # of a token for another audience (RFC 6750 3.1)
{{- end}}
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
{{- if .Announces}}
              response_headers_to_add: [{header: {key: ratelimit-policy, value: '{{.Policies}}'}}]
{{- end}}
              routes:
              - match: {prefix: "/"}
                route:
                  cluster: entry
                  timeout: {{.Seconds .Timeout}}
{{- if .Retries}}
                  retry_policy: # three attempts in all, each at another endpoint, for what was not processed or answered 503
                    retry_on: connect-failure,refused-stream,reset-before-request,retriable-status-codes
                    retriable_status_codes: [503]
                    num_retries: 2
                    retry_back_off: {base_interval: 0.025s, max_interval: 0.25s}
                    retry_host_predicate: [{name: envoy.retry_host_predicates.previous_hosts, typed_config: {"@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}]
                    host_selection_retry_max_attempts: 5
{{- end}}
          http_filters:
{{- template "stages" .}}
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
{{- with .Entry}}
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_params: {tls_minimum_protocol_version: TLSv1_2, tls_maximum_protocol_version: TLSv1_3}
            tls_certificates: [{certificate_chain: {filename: "{{.Certificate}}"}, private_key: {filename: "{{.Key}}"}}]
            alpn_protocols: [http/1.1]
{{- end}}
  clusters:
  - name: entry
    type: STATIC
    connect_timeout: {{.Seconds .Connect}}
    lb_policy: {{if .LeastRequest}}LEAST_REQUEST{{else}}ROUND_ROBIN{{end}}
    circuit_breakers: {thresholds: [{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000{{if .Retries}}, retry_budget: {budget_percent: {value: 20}, min_retry_concurrency: 3}{{end}}}]}
{{- if .Breaker}}
    outlier_detection: {consecutive_5xx: 7, enforcing_success_rate: 0, interval: 1s, base_ejection_time: 1s, max_ejection_time: 60s, max_ejection_percent: 50}
{{- end}}
{{- with .Health}}
    health_checks: [{interval: {{$.Seconds .Interval.D}}, no_traffic_interval: {{$.Seconds .Interval.D}}, timeout: {{$.Seconds .Timeout.D}}, unhealthy_threshold: {{.Down}}, healthy_threshold: {{.Up}}, http_health_check: {path: {{.Path}}}}]
{{- end}}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        common_http_protocol_options: {idle_timeout: {{.Seconds .Pooled}}}
        explicit_http_config: {http_protocol_options: {}}
{{- with .TLS}}
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        sni: {{$.Host}}
        common_tls_context:
          tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}
          tls_certificates: [{certificate_chain: {filename: "{{.Certificate}}"}, private_key: {filename: "{{.Key}}"}}]
          alpn_protocols: [http/1.1]
          validation_context:
            trusted_ca: {filename: "{{.Roots}}"}
            match_typed_subject_alt_names: [{san_type: URI, matcher: {exact: "{{$.Identity}}"}}]
{{- end}}
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
	// Without hot restart there is no shared memory between instances, which outlives them.
	args := []string{"-c", file, "--concurrency", strconv.Itoa(p.Workers), "--disable-hot-restart", "--log-level", "warning"}
	if p.Access != "" {
		args = append(args, "--file-flush-interval-msec", "200") // as the reference gateway; by itself every 10 s, or at 64 KiB as here
	}
	return process.RivalProgram{
		Args:  args,
		Ready: "http://" + p.Admin + "/ready",
	}, err
}
