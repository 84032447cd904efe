package control

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"crossroads/proxies/config"
	"crossroads/proxies/identity"
)

// minToken is the shortest token that is accepted, in bytes: below it somebody could try them all.
const minToken = 16

// grants are the tokens and what each allows, kept as hashes so that comparing takes the same time whatever was sent.
type grants struct {
	all     []grant
	control string // the control plane's own ID, which no token obtains
}

type grant struct {
	hash [sha256.Size]byte
	idSet
}

// idSet is IDs, and prefixes of IDs.
type idSet struct {
	ids      []string
	prefixes []string // with their last slash
}

func newIDSet(ids []string) (s idSet) {
	for _, id := range ids {
		if prefix, isPrefix := strings.CutSuffix(id, "*"); isPrefix {
			s.prefixes = append(s.prefixes, prefix)
		} else {
			s.ids = append(s.ids, id)
		}
	}
	return s
}

func (s *idSet) holds(id string) bool {
	return slices.Contains(s.ids, id) || slices.ContainsFunc(s.prefixes, func(p string) bool { return strings.HasPrefix(id, p) })
}

// readGrants reads every token's file.
func readGrants(tokens []config.Token, trustDomain string) (*grants, error) {
	g := &grants{control: identity.ControlID(trustDomain)}
	var all error
	for _, t := range tokens {
		text, err := os.ReadFile(t.File)
		if err != nil {
			all = errors.Join(all, fmt.Errorf("reading a bootstrap token: %w", err))
			continue
		}
		secret := bytes.TrimSpace(text)
		if len(secret) < minToken {
			all = errors.Join(all, fmt.Errorf("%s: the token has %d bytes, fewer than %d", t.File, len(secret), minToken))
			continue
		}
		g.all = append(g.all, grant{hash: sha256.Sum256(secret), idSet: newIDSet(t.IDs)})
	}
	if all != nil {
		return nil, all
	}
	return g, nil
}

// find returns the grants of a token. Every token is compared, so that the time tells nothing about which one matched.
func (g *grants) find(token string) []grant {
	hash := sha256.Sum256([]byte(token))
	var found []grant
	for _, one := range g.all {
		if subtle.ConstantTimeCompare(hash[:], one.hash[:]) == 1 {
			found = append(found, one)
		}
	}
	return found
}

// allows says whether one of the grants lets its bearer be id.
func (g *grants) allows(found []grant, id string) bool {
	if id == g.control {
		return false
	}
	return slices.ContainsFunc(found, func(one grant) bool { return one.holds(id) })
}

// MakeToken writes a random token where there is none, for its owner's eyes only.
func MakeToken(file string) (made bool, err error) {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return false, nil // it is there, or reading it will say why not
	}
	return true, identity.WriteSecret(file, []byte(rand.Text()+rand.Text()+"\n"))
}
