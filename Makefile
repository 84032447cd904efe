# Crossroads. `make help` lists every action; each does its own set-up on a machine with Go and make.

GO       ?= go
PROGRAMS := bin/crossroads bin/workload bin/gateway bin/sidecar bin/control bin/relay bin/conformance
ARGS     ?=
SOAK     ?= 10m
SEED     ?= 1
BASELINE ?= HEAD

export CROSSROADS_RIVALS ?= $(CURDIR)/bin/rivals

.DEFAULT_GOAL := help
.PHONY: help build test lint bench report gate baseline soak rivals compare-rivals compare-nginx allocations clean FORCE

help: ## list all actions
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: $(PROGRAMS) ## build the programs into bin/

bin/crossroads bin/workload: bin/%: FORCE
	@CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./harness/cmd/$*

bin/gateway bin/sidecar bin/control bin/relay bin/conformance: bin/%: FORCE
	@CGO_ENABLED=0 $(GO) build -trimpath -o $@ ./proxies/cmd/$*

FORCE:

test: ## every test, race detector on (at most 8 minutes)
	$(GO) test -race -timeout 7m ./...

allocations: export CGO_ENABLED = 0
allocations: export GOFLAGS += -trimpath
allocations: ## that the path of a request allocates nothing, which cannot be told beside the race detector
	$(GO) test -vet=off -count=1 -run 'AllocatesNothing|NotAllocate' ./proxies/upstream ./proxies/listen ./proxies/gateway

# lint compiles as build does, so that the two share the build cache.
lint: export CGO_ENABLED = 0
lint: export GOFLAGS += -trimpath
lint: ## gofmt, go vet and staticcheck
	@unformatted=$$(gofmt -l ci harness proxies reports results topologies *.go 2>/dev/null); \
	 if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

bench: build ## the default experiment: deploy, load, record, report (ARGS="FILE --rounds 6 ...")
	@bin/crossroads bench $(ARGS)

report: build ## rebuild the report of the newest run
	@bin/crossroads report results/runs/latest

rivals: ## install the other proxies that this machine lacks into bin/rivals: nginx, HAProxy, Envoy, Traefik, Caddy
	@harness/rivals/install.sh "$(CROSSROADS_RIVALS)"

compare-rivals: build ## all rivals in our places: forwarding, guarded, mutual TLS, sidecars; one seed, half an hour (SEED=1 ARGS="--rounds 6")
	@for e in rivals-gateway rivals-guarded rivals-mtls rivals-mesh; do \
	   bin/crossroads bench topologies/$$e.yaml --seed $(SEED) $(ARGS) || exit; \
	 done

compare-nginx: build ## CPU per request of plain forwarding beside nginx (ARGS="--rounds 10 --rate 1000,4000,8000 --latency 4000")
	@$(GO) run ./harness/cmd/compare-nginx $(ARGS)

compare-drivers: ## slips and CPU per request of the native driver, vegeta and wrk, at 2,000/s and 8,000/s, in a minute
	@$(GO) run ./harness/cmd/compare-drivers $(ARGS)

gate: build ## the working tree against BASELINE (a commit or a binary), side by side: pass, fail or cannot judge
	@bin/crossroads gate --baseline "$(BASELINE)" $(ARGS)

baseline: build ## this machine's noise, and what the gate finds in it: hours, resumable; kept in results/baselines
	@bin/crossroads gate --self-test $(ARGS)

soak: ## every fuzz target for SOAK=10m each, a million requests, a thousand slow clients, twenty cascades, a mesh under rotation and outage
	@for p in $$($(GO) list ./...); do \
	   for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	     echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(SOAK) $$p || exit 1; \
	   done; \
	 done
	$(GO) test -tags soak -run '^TestSoak' -v -timeout 30m ./proxies/gateway ./proxies/sidecar ./proxies/control ./results ./harness/load ./harness/predict ./harness/cmd/crossroads

clean: ## remove the programs; records and reports stay
	rm -rf bin
