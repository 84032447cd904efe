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
	hash     [sha256.Size]byte
	ids      []string
	prefixes []string // with their last slash
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
		one := grant{hash: sha256.Sum256(secret)}
		for _, id := range t.IDs {
			if prefix, isPrefix := strings.CutSuffix(id, "*"); isPrefix {
				one.prefixes = append(one.prefixes, prefix)
			} else {
				one.ids = append(one.ids, id)
			}
		}
		g.all = append(g.all, one)
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
	for _, one := range found {
		for _, known := range one.ids {
			if id == known {
				return true
			}
		}
		for _, prefix := range one.prefixes {
			if strings.HasPrefix(id, prefix) {
				return true
			}
		}
	}
	return false
}

// MakeToken writes a random token where there is none, for its owner's eyes only.
func MakeToken(file string) (made bool, err error) {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return false, nil // it is there, or reading it will say why not
	}
	return true, identity.WriteSecret(file, []byte(rand.Text()+rand.Text()+"\n"))
}
