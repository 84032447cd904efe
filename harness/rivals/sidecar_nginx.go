package rivals

import "crossroads/harness/deploy/process"

// besideNginxConf: nginx verifies a callee's certificate by its DNS name, which in these certificates is the service's and is signed by
// the same authority as the SPIFFE ID; a caller must have a certificate of that authority, which serves one trust domain.
const besideNginxConf = `# {{.ID}}: nginx beside {{.Service}}, rendered by crossroads.
` + nginxHead + `    map $http_x_request_id $id {
        "" $request_id;
        default $http_x_request_id;
    }
    proxy_http_version 1.1;
    proxy_request_buffering off;
    proxy_max_temp_file_size 0;
    proxy_next_upstream off;
    proxy_connect_timeout {{.Seconds .Connect}};
    proxy_send_timeout {{.Seconds .Timeout}};
    proxy_read_timeout {{.Seconds .Timeout}};
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Request-Id $id;
    proxy_set_header Via $via;
{{- with .TLS}}
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384; # as every other pair: left to itself OpenSSL puts AES-256 first
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384;
    proxy_ssl_certificate {{.Certificate}};
    proxy_ssl_certificate_key {{.Key}};
    proxy_ssl_trusted_certificate {{.Roots}};
    proxy_ssl_verify on;
    proxy_ssl_server_name on;
{{- end}}

    upstream app {
        server {{.App}} max_fails=0;
        keepalive {{.MaxIdle}};
        keepalive_requests 1000000000;
        keepalive_timeout {{.Seconds .Pooled}};
    }
    server {
        listen {{.Inbound}}{{if .TLS}} ssl{{end}} backlog=4096;
{{- with .TLS}}
        ssl_certificate {{.Certificate}};
        ssl_certificate_key {{.Key}};
        ssl_client_certificate {{.Roots}};
        ssl_verify_client on;
{{- end}}
        location / {
            proxy_pass http://app;
        }
    }
{{- if .Ingress}}
    server {
        listen {{.Ingress}} backlog=4096;
        location / {
            proxy_pass http://app;
        }
    }
{{- end}}
{{- if .Outbound}}
    server {
        listen {{.Outbound}} default_server backlog=4096;
        location / {
            return 503;
        }
    }
{{- end}}
{{- range .Callees}}
    upstream service-{{.Service}} {
{{- if $.LeastRequest}}
        least_conn;
{{- end}}
{{- range .Endpoints}}
        server {{.}} max_fails=0;
{{- end}}
        keepalive {{$.MaxIdle}};
        keepalive_requests 1000000000;
        keepalive_timeout {{$.Seconds $.Pooled}};
    }
    server {
        listen {{$.Outbound}};
        server_name {{.Service}};
        location / {
{{- if $.TLS}}
            proxy_ssl_name {{.Service}};
{{- end}}
            proxy_pass {{if $.TLS}}https{{else}}http{{end}}://service-{{.Service}};
        }
    }
{{- end}}
` + nginxAdmin + `}
`

func besideNginx(p *sidecarPlan) (process.RivalProgram, error) {
	file, err := p.write(".conf", besideNginxConf)
	return process.RivalProgram{Args: []string{"-e", "stderr", "-p", p.Private, "-c", file}, Ready: "http://" + p.Admin + "/"}, err
}
