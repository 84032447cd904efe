package control

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGrants(t *testing.T) {
	g := &grants{
		control: "spiffe://m/ns/system/sa/control",
		all: []grant{
			{hash: sha256.Sum256([]byte("one")), idSet: newIDSet([]string{"spiffe://m/ns/a/sa/web"})},
			{hash: sha256.Sum256([]byte("two")), idSet: newIDSet([]string{"spiffe://m/ns/a/*"})},
			{hash: sha256.Sum256([]byte("two")), idSet: newIDSet([]string{"spiffe://m/ns/b/sa/db"})},
			{hash: sha256.Sum256([]byte("all")), idSet: newIDSet([]string{"spiffe://m/*", "spiffe://m/ns/system/sa/control"})},
		},
	}
	for _, c := range []struct {
		token, id string
		want      bool
	}{
		{"one", "spiffe://m/ns/a/sa/web", true},
		{"one", "spiffe://m/ns/a/sa/web2", false},
		{"two", "spiffe://m/ns/a/sa/web", true},
		{"two", "spiffe://m/ns/ab/sa/web", false},
		{"two", "spiffe://m/ns/b/sa/db", true},
		{"all", "spiffe://m/ns/anything", true},
		{"all", "spiffe://m/ns/system/sa/control", false},
		{"all", "spiffe://other/ns/a", false},
		{"", "spiffe://m/ns/a/sa/web", false},
		{"on", "spiffe://m/ns/a/sa/web", false},
	} {
		require.Equal(t, c.want, g.allows(g.find(c.token), c.id), "%+v", c)
	}
}

func TestPrefixOfToken(t *testing.T) {
	k := start(t)
	found := k.grants.Load().all[0]
	require.Equal(t, []string{"spiffe://mesh.test/"}, found.prefixes, "the slash stays, or /ns/a* would let /ns/ab in")
}
