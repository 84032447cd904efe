package topologies

import (
	"strings"

	"crossroads/proxies/config/strict"
)

// compose replaces every topology that extends others by what it comes to: the others laid over each other in the order named, then
// its own keys, key by key. It works on the file's values, so that a fault in a composed topology points at the line that wrote it.
func compose(e *Experiment, doc *strict.Document) {
	written := doc.Root().Get("topologies")
	if written == nil || written.Kind != strict.Mapping {
		return
	}
	c := composer{e: e, doc: doc, written: written, done: map[string]*strict.Node{}}
	for _, name := range e.Topologies.Keys() {
		c.resolve(name, nil)
	}
	for _, name := range e.Topologies.Keys() {
		node := c.done[name]
		if len(e.Topologies.At(name).Extends) == 0 || node == nil || node.Kind != strict.Mapping {
			continue
		}
		var t Topology
		node.Decode(&t)
		e.Topologies.Set(name, t)
		written.Replace(name, node)
	}
}

type composer struct {
	e       *Experiment
	doc     *strict.Document
	written *strict.Node
	done    map[string]*strict.Node
}

// resolve returns the composed value of a topology. chain is who asked, outermost first.
func (c *composer) resolve(name string, chain []string) *strict.Node {
	if node, done := c.done[name]; done {
		return node
	}
	own := c.written.Get(name)
	if own.Kind != strict.Mapping {
		return nil
	}
	var base *strict.Node
	for i, parent := range c.e.Topologies.At(name).Extends {
		path := strict.Index(strict.Key("$.topologies", name)+".extends", i)
		if !c.usable(parent, path, append(chain, name)) {
			continue
		}
		below := c.resolve(parent, append(chain, name))
		switch {
		case below == nil:
		case base == nil:
			base = below
		default:
			base = base.Merge(below)
		}
	}
	node := own.Without("extends")
	if base != nil {
		node = base.Merge(node)
	}
	c.done[name] = node
	return node
}

func (c *composer) usable(parent, path string, chain []string) bool {
	if _, known := c.e.Topologies.Get(parent); !known {
		c.doc.Report(path, "%s", strict.Unknown("topology", parent, c.e.Topologies.Keys()))
		return false
	}
	for i, asked := range chain {
		if asked == parent {
			c.doc.Report(path, "topologies extend each other in a circle: %s", strings.Join(append(chain[i:], parent), " -> "))
			return false
		}
	}
	return true
}
