package rivals

import (
	"time"

	"crossroads/harness/deploy/process"
	"crossroads/topologies"
)

func nginx() Rival {
	return Rival{Name: "nginx", Get: "make rivals, or apt-get install nginx-light (Debian)", version: []string{"-V"}, says: `version: \S+/(\S+)`, counter: "http_stub_status_module", refuse: nginxRefuses, does: []string{leastRequest}, render: renderNginx, beside: besideNginx}
}

func nginxRefuses(s topologies.GatewayStages) *refusal {
	if no := noJWT(s, "only its commercial version verifies signed tokens"); no != nil {
		return no
	}
	if no := noShadow(s, "it either refuses a key or does not look at it: there is no shadow"); no != nil {
		return no
	}
	return wholeLimit(s.RateLimit)
}

// NginxRate writes the rate as limit_req_zone takes it.
func (l limit) NginxRate() string {
	n, per, _ := wholeRate(l.Rate)
	return whole(n) + map[time.Duration]string{time.Second: "r/s", time.Minute: "r/m"}[per]
}

// Excess is the burst as nginx counts it: beyond the first request.
func (l limit) Excess() int64 { return l.Burst - 1 }

// nginxHead begins both files, in the gateway's place and in the sidecars': the process, and how it treats clients.
const nginxHead = `daemon off;
{{- if .Root}}
user root root; # as the reference proxy runs: as it was started
{{- end}}
worker_processes {{.Workers}};
worker_rlimit_nofile {{twice .ConnectionsPerWorker}};
pid {{file ".pid"}};
error_log stderr warn;
events {
    worker_connections {{.ConnectionsPerWorker}};
}
http {
    access_log off;
    client_body_temp_path {{file "-body"}};
    proxy_temp_path {{file "-proxy"}};
    fastcgi_temp_path {{file "-fastcgi"}};
    uwsgi_temp_path {{file "-uwsgi"}};
    scgi_temp_path {{file "-scgi"}};

    client_header_timeout {{.Seconds .Header}};
    client_body_timeout {{.Seconds .Body}};
    send_timeout {{.Seconds .Body}};
    keepalive_timeout {{.Seconds .KeepAlive}};
    keepalive_requests 1000000000;
    large_client_header_buffers 4 {{.MaxHead}};
    client_max_body_size 0;

    map $http_via $via {
        "" "1.1 nginx";
        default "$http_via, 1.1 nginx";
    }
`

// nginxConf differs from nginx's defaults where the reference gateway does: it sends a request on while its body still comes, tries one
// endpoint only, ejects none, and closes no connection for having served a thousand requests. Without that last one a load would
// measure reconnecting. Counting is per worker process except for limits, which share their memory.
const nginxConf = `# {{.ID}}: nginx in the gateway's place, rendered by crossroads.
` + nginxHead + `{{- if .KeyAuth}}
    map $http_x_api_key $consumer { # keys are compared as they are, not by their SHA-256
        default "";
{{- range .Keys}}
        "{{.Key}}" {{.Consumer}};
{{- end}}
    }
{{- end}}
{{- range .Limits}}
{{- if .Only}}
    map $consumer $only_{{.Only}} {
        default "";
        {{.Only}} {{.Only}};
    }
{{- end}}
    limit_req_zone {{if .Only}}$only_{{.Only}}{{else if $.KeyAuth}}$consumer{{else}}$binary_remote_addr{{end}} zone={{.Name}}:10m rate={{.NginxRate}};
{{- end}}
{{- if .Access}}
    log_format line escape=json '{"time":"$time_iso8601","id":"$request_id","method":"$request_method","host":"$http_host","path":"$uri","status":$status,'
        '"client":"$remote_addr",{{if .KeyAuth}}"consumer":"$consumer",{{end}}"duration_s":$request_time,"upstream_s":"$upstream_response_time",'
        '"endpoint":"$upstream_addr","received_bytes":$request_length,"sent_bytes":$bytes_sent}';
{{- end}}

    upstream entry {
{{- if .LeastRequest}}
        least_conn;
{{- end}}
{{- range .Upstream}}
        server {{.}} max_fails=0;
{{- end}}
        keepalive {{.Pool}};
        keepalive_requests 1000000000;
        keepalive_timeout {{.Seconds .Pooled}};
    }
    server {
        listen {{.Listen}}{{if .Entry}} ssl{{end}} backlog=4096;
{{- with .Entry}}
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_conf_command Ciphersuites {{$.Ciphers13}};
        ssl_ciphers {{$.Ciphers12}};
        ssl_prefer_server_ciphers on;
        ssl_certificate {{.Certificate}};
        ssl_certificate_key {{.Key}};
{{- end}}
{{- if .Access}}
        access_log {{.Access}} line buffer=64k flush=200ms; # when the reference gateway writes, too
{{- end}}
        location / {
{{- if .KeyAuth}}
            if ($consumer = "") {
                return 401;
            }
{{- end}}
{{- range .Limits}}
            limit_req zone={{.Name}} burst={{.Excess}} nodelay;
{{- end}}
{{- with .Limits}}
            limit_req_status 429;
            limit_req_log_level info;
{{- if not $.Announces}}
            limit_req_dry_run on;
{{- else}}
            add_header RateLimit-Policy '{{$.Policies}}' always;
{{- end}}
{{- end}}
            proxy_pass {{if .TLS}}https{{else}}http{{end}}://entry;
{{- with .TLS}}
            proxy_ssl_protocols TLSv1.3;
            proxy_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384;
            proxy_ssl_certificate {{.Certificate}};
            proxy_ssl_certificate_key {{.Key}};
            proxy_ssl_trusted_certificate {{.Roots}};
            proxy_ssl_verify on; # by DNS name: it reads no URI SAN
            proxy_ssl_name {{$.Host}};
            proxy_ssl_server_name on;
{{- end}}
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_max_temp_file_size 0;
            proxy_next_upstream off;
            proxy_connect_timeout {{.Seconds .Connect}};
            proxy_send_timeout {{.Seconds .Timeout}};
            proxy_read_timeout {{.Seconds .Timeout}};
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Real-IP "";
            proxy_set_header Forwarded "";
            proxy_set_header X-Request-Id $request_id;
            proxy_set_header Via $via;
{{- if .KeyAuth}}
            proxy_set_header X-Api-Key "";
            proxy_set_header X-Consumer-Name $consumer;
{{- end}}
            proxy_hide_header X-Request-Id;
            add_header X-Request-Id $request_id always;
        }
{{- if .KeyAuth}}
        error_page 401 @unknown;
        location @unknown {
            internal;
            add_header WWW-Authenticate Key always;
            return 401 "";
        }
{{- end}}
    }
` + nginxAdmin + `}
`

// nginxAdmin is the page of counters, which are kept with or without it where the program was built to, and readiness.
const nginxAdmin = `    server {
        listen {{.Admin}};
{{- if not .Uncounted}}
        location = /metrics {
            stub_status;
        }
{{- end}}
        location / {
            return 200 "ready\n";
        }
    }
`

func renderNginx(p *plan) (process.RivalProgram, error) {
	file, err := p.write(".conf", nginxConf)
	// -e: the log before the configuration is read goes where builds chose, else. The master binds every address before a worker
	// serves one, so readiness on the one proves the other.
	return process.RivalProgram{Args: []string{"-e", "stderr", "-p", p.Private, "-c", file}, Ready: "http://" + p.Admin + "/"}, err
}
