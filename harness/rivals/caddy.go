package rivals

import (
	"strconv"

	"crossroads/harness/deploy/process"
)

func caddy() Rival {
	return Rival{Name: "caddy", Get: "make rivals, or apt-get install caddy (Debian)", version: []string{"version"}, says: `^v?(\d\S*)`, refuse: forwardsOnly("caddy"), render: renderCaddy}
}

// caddyReady is answered by Caddy itself. It stands on the load's own address: Caddy binds addresses one after the other, so that
// another address would prove nothing of this one. It costs every request one comparison of paths.
const caddyReady = "/.well-known/crossroads-ready"

// caddyJSON: Caddy replaces X-Forwarded-For, -Proto and -Host by itself, as no client is trusted.
const caddyJSON = `{
  "admin": {"disabled": true, "config": {"persist": false}},
  "logging": {"logs": {"default": {"level": "ERROR"}}},
  "apps": {
    "http": {
      "servers": {
        "gateway": {
          "listen": ["{{.Listen}}"],
          "protocols": ["h1"],
          "automatic_https": {"disable": true},
          "read_header_timeout": "{{.Header}}",
          "idle_timeout": "{{.KeepAlive}}",
          "max_header_bytes": {{.MaxHead}},
          "routes": [
            {
              "match": [{"path": ["` + caddyReady + `"]}],
              "handle": [{"handler": "static_response", "status_code": 200, "body": "ready"}],
              "terminal": true
            },
            {
              "handle": [
                {
                  "handler": "headers",
                  "response": {"set": {"X-Request-Id": ["{http.request.uuid}"]}, "deferred": true}
                },
                {
                  "handler": "reverse_proxy",
                  "upstreams": [{{range $i, $a := .Upstream}}{{if $i}}, {{end}}{"dial": "{{$a}}"}{{end}}],
                  "load_balancing": {"selection_policy": {"policy": "round_robin"}},
                  "headers": {
                    "request": {
                      "set": {"X-Request-Id": ["{http.request.uuid}"]},
                      "add": {"Via": ["1.1 caddy"]},
                      "delete": ["X-Real-Ip", "Forwarded"]
                    }
                  },
                  "transport": {
                    "protocol": "http",
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

func renderCaddy(p *plan) (process.RivalProgram, error) {
	file, err := p.write(".json", caddyJSON)
	return process.RivalProgram{
		Args: []string{"run", "--config", file},
		Env: []string{
			"GOMAXPROCS=" + strconv.Itoa(p.Workers),
			// Where it keeps its state: it may have nothing of a user's.
			"HOME=" + p.Private, "XDG_DATA_HOME=" + p.Private, "XDG_CONFIG_HOME=" + p.Private,
		},
		Ready: "http://" + p.Listen + caddyReady,
	}, err
}
