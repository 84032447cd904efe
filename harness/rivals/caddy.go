package rivals

import (
	"fmt"
	"strconv"

	"crossroads/harness/deploy/process"
	"crossroads/topologies"
)

func caddy() Rival {
	return Rival{Name: "caddy", Get: "make rivals, or apt-get install caddy (Debian)", version: []string{"version"}, says: `^v?(\d\S*)`, refuse: caddyRefuses, does: []string{leastRequest}, leavesVia: caddyLeavesVia, render: renderCaddy}
}

func caddyRefuses(s topologies.GatewayStages) *refusal {
	const foreign = "the program as released has none; it would have to be built anew with somebody else's module"
	if no := noJWT(s, foreign); no != nil {
		return no
	}
	if r := s.RateLimit; r != nil && declared(r.Mode) {
		return &refusal{rateLimit, foreign}
	}
	return noShadow(s, "a request is let through or not: there is no shadow")
}

// caddyReady is answered by Caddy itself. It stands on the load's own address: Caddy binds addresses one after the other, so that
// another address would prove nothing of this one. It costs every request one comparison of paths.
const caddyReady = "/.well-known/crossroads-ready"

// caddyJSON: Caddy replaces X-Forwarded-For and -Proto by itself, as no client is trusted. Host and X-Forwarded-Host are set, because from
// 2.11 on it would put the endpoint's address into both where it speaks TLS to it. Keys are compared as they are; two in one
// request are read as one, which nobody has. An endpoint's certificate is verified by its DNS name: Caddy reads no URI SAN. The lowest
// version of TLS cannot be set here; sidecars speak 1.3 only. Its access log names a consumer only where it has authenticated somebody itself:
// so the map says that it has. "metrics" stands with the server, where old versions want it and new ones still read it.
const caddyJSON = `{
  "admin": {"disabled": true, "config": {"persist": false}},
  "logging": {
    "logs": {
{{- if .Access}}
      "access": {
        "include": ["http.log.access.gateway"],
        "writer": {"output": "file", "filename": "{{.Access}}", "roll": false},
        "encoder": {"format": "filter", "wrap": {"format": "json"}, "fields": {"request>headers": {"filter": "delete"}}}
      },
{{- end}}
      "default": {"level": "ERROR"{{if .Access}}, "exclude": ["http.log.access"]{{end}}}
    }
  },
  "apps": {
{{- with .Entry}}
    "tls": {"certificates": {"load_files": [{"certificate": "{{.Certificate}}", "key": "{{.Key}}"}]}},
{{- end}}
    "http": {
      "servers": {
        "admin": {
          "listen": ["{{.Admin}}"],
          "protocols": ["h1"],
          "automatic_https": {"disable": true},
          "routes": [{"match": [{"path": ["/metrics"]}], "handle": [{"handler": "metrics"}]}]
        },
        "gateway": {
          "listen": ["{{.Listen}}"],
          "protocols": ["h1"],
          "automatic_https": {"disable": true},
{{- if .Entry}}
          "tls_connection_policies": [{"protocol_min": "tls1.2", "alpn": ["http/1.1"]}],
{{- end}}
          "read_header_timeout": "{{.Header}}",
          "idle_timeout": "{{.KeepAlive}}",
          "max_header_bytes": {{.MaxHead}},
          "metrics": {},
{{- if .Access}}
          "logs": {"default_logger_name": "gateway"},
{{- end}}
          "routes": [
            {
              "match": [{"path": ["` + caddyReady + `"]}],
              "handle": [{"handler": "static_response", "status_code": 200, "body": "ready"}],
              "terminal": true
            },
{{- if .KeyAuth}}
            {
              "handle": [
                {
                  "handler": "map",
                  "source": "{http.request.header.X-Api-Key}",
                  "destinations": ["{consumer}"{{if .Access}}, "{http.auth.user.id}"{{end}}],
                  "mappings": [{{range $i, $k := .Keys}}{{if $i}}, {{end}}{"input": "{{$k.Key}}", "outputs": ["{{$k.Consumer}}"{{if $.Access}}, "{{$k.Consumer}}"{{end}}]}{{end}}],
                  "defaults": [""{{if .Access}}, ""{{end}}]
                }
              ]
            },
            {
              "match": [{"vars": {"{consumer}": [""]}}],
              "handle": [{"handler": "static_response", "status_code": 401, "headers": {"WWW-Authenticate": ["Key"]}}],
              "terminal": true
            },
{{- end}}
            {
              "handle": [
                {
                  "handler": "headers",
                  "response": {"set": {"X-Request-Id": ["{http.request.uuid}"]}, "deferred": true}
                },
                {
                  "handler": "reverse_proxy",
                  "upstreams": [{{range $i, $a := .Upstream}}{{if $i}}, {{end}}{"dial": "{{$a}}"}{{end}}],
                  "load_balancing": {"selection_policy": {"policy": "{{if .LeastRequest}}least_conn{{else}}round_robin{{end}}"}},
                  "headers": {
                    "request": {
                      "set": {"Host": ["{http.request.hostport}"], "X-Forwarded-Host": ["{http.request.hostport}"], "X-Request-Id": ["{http.request.uuid}"]{{if .KeyAuth}}, "X-Consumer-Name": ["{consumer}"]{{end}}},
{{- if not .LeavesVia}}
                      "add": {"Via": ["1.1 caddy"]},
{{- end}}
                      "delete": ["X-Real-Ip", "Forwarded"{{if .KeyAuth}}, "X-Api-Key"{{end}}]
                    }
                  },
                  "transport": {
                    "protocol": "http",
{{- with .TLS}}
                    "tls": {
                      "root_ca_pem_files": ["{{.Roots}}"],
                      "client_certificate_file": "{{.Certificate}}",
                      "client_certificate_key_file": "{{.Key}}",
                      "server_name": "{{$.Host}}"
                    },
{{- end}}
                    "versions": ["1.1"],
                    "compression": false,
                    "dial_timeout": "{{.Connect}}",
                    "response_header_timeout": "{{.Timeout}}",
                    "keep_alive": {"idle_timeout": "{{.Pooled}}", "max_idle_conns": 0, "max_idle_conns_per_host": {{.MaxIdle}}}
                  }
                }
              ]
            }
          ]
        }
      }
    }
  }
}
`

// scheme is how clients address the gateway.
func (p *plan) scheme() string {
	if p.Entry != nil {
		return "https://"
	}
	return "http://"
}

func renderCaddy(p *plan) (process.RivalProgram, error) {
	file, err := p.write(".json", caddyJSON)
	return process.RivalProgram{
		Args: []string{"run", "--config", file},
		Env: []string{
			"GOMAXPROCS=" + strconv.Itoa(p.Workers),
			// Where it keeps its state: it may have nothing of a user's.
			"HOME=" + p.Private, "XDG_DATA_HOME=" + p.Private, "XDG_CONFIG_HOME=" + p.Private,
		},
		Ready: p.scheme() + p.Listen + caddyReady,
	}, err
}

// caddyLeavesVia: from 2.10 on Caddy appends to Via without being told, and a second entry would be a hop that there is not.
func caddyLeavesVia(version string) bool {
	var major, minor int
	_, err := fmt.Sscanf(version, "%d.%d", &major, &minor)
	return err == nil && (major > 2 || major == 2 && minor >= 10)
}
