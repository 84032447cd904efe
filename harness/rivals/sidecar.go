package rivals

import (
	"path/filepath"

	"crossroads/harness/deploy/process"
)

// sidecarPlan is what the template of a rival in a sidecar's place may use. The rival crosses a call as the reference sidecar does: on
// the outbound side it finds the service by Host, on the inbound side everything is for the one application; between the two there is
// mutual TLS 1.3 with both ends proved, or plaintext. Each side appends to Via and makes X-Request-Id where there is none; nothing else is
// added, as inside a mesh nobody rewrites who the client was.
type sidecarPlan struct {
	process.RivalSidecar
	terms
	LeastRequest bool
	Breaker      bool
}

// RenderSidecar implements process.RivalRenderer.
func (f Found) RenderSidecar(s process.RivalSidecar) (process.RivalProgram, error) {
	p := &sidecarPlan{RivalSidecar: s, terms: newTerms(s.CPUs), LeastRequest: s.Mesh.Balance == "least_request", Breaker: s.Mesh.Breaker == "on"}
	p.facts = f.facts
	all := []string{s.Inbound, s.Admin, s.App}
	if s.Ingress != "" {
		all = append(all, s.Ingress)
	}
	if s.Outbound != "" {
		all = append(all, s.Outbound)
	}
	for _, c := range s.Callees {
		all = append(all, c.Endpoints...)
	}
	if err := addresses(s.ID, all...); err != nil {
		return process.RivalProgram{}, err
	}
	program, err := f.beside(p)
	program.Path = f.Path
	return program, err
}

// ConnectionsPerWorker is as for a gateway, for both directions.
func (p *sidecarPlan) ConnectionsPerWorker() int { return 4*p.Connections + 1024 }

func (p *sidecarPlan) file(suffix string) string { return filepath.Join(p.Private, p.ID+suffix) }

func (p *sidecarPlan) write(suffix, text string) (string, error) {
	return write(filepath.Join(p.Dir, p.ID+suffix), text, p, p.file)
}
