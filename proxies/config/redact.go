package config

import "slices"

// redacted stands where a secret was.
const redacted = "redacted"

// Redacted returns a copy to be shown: without the hashes of keys. They are no keys, but weak keys can be guessed from them.
func (g *Gateway) Redacted() *Gateway {
	c := *g
	if k := g.Stages.KeyAuth; k != nil {
		auth := *k
		auth.Keys = slices.Clone(k.Keys)
		for i := range auth.Keys {
			auth.Keys[i].SHA256 = redacted
		}
		c.Stages.KeyAuth = &auth
	}
	return &c
}
