package stage

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/textproto"
	"strings"

	"github.com/valyala/fasthttp"

	"crossroads/proxies/config"
	"crossroads/proxies/exchange"
	"crossroads/proxies/telemetry"
)

// KeyAuth authenticates by a secret key. It looks into its places in order; no key, an unknown one, or two of them (whichever the
// upstream would have believed) fail with 401. The key is removed before the request goes on, and the consumer stands in
// x.Consumer and in X-Consumer-Name and X-Consumer-Groups. Keys are known by their SHA-256 only and compared in constant time. In
// shadow it only counts. A pass allocates nothing where keys stand in header fields.
type KeyAuth struct {
	places   []place
	keys     map[uint64][]*consumer // by the first eight bytes of the hash
	nobody   consumer               // compared against where none is near, so that this takes as long
	counts   telemetry.AuthDecisions
	shadow   bool
	cookies  bool // one of the places is a cookie
	optional bool
}

// place is where a key may stand; header is canonical.
type place struct{ header, query, cookie []byte }

type consumer struct {
	hash   [sha256.Size]byte
	who    exchange.Consumer
	name   []byte
	groups []byte // as a list
}

// NewKeyAuth makes the stage from its configuration, which config has checked.
func NewKeyAuth(c *config.KeyAuth, m *telemetry.Metrics) (*KeyAuth, error) {
	s := &KeyAuth{keys: map[uint64][]*consumer{}, shadow: c.Mode == config.Shadow, optional: c.Optional}
	s.counts = m.AuthDecisions("key", s.shadow)
	for _, p := range c.Places {
		s.places = append(s.places, place{
			header: []byte(textproto.CanonicalMIMEHeaderKey(p.Header)), query: []byte(p.Query), cookie: []byte(p.Cookie)})
		s.cookies = s.cookies || p.Cookie != ""
	}
	for _, k := range c.Keys {
		who := &consumer{
			who:  exchange.Consumer{Name: k.Consumer, Groups: k.Groups},
			name: []byte(k.Consumer), groups: []byte(strings.Join(k.Groups, ",")),
		}
		if n, err := hex.Decode(who.hash[:], []byte(k.SHA256)); err != nil || n != len(who.hash) {
			return nil, fmt.Errorf("the key of consumer %q is no SHA-256", k.Consumer)
		}
		who.who.Credential = string(who.hash[:])
		bucket := binary.BigEndian.Uint64(who.hash[:])
		s.keys[bucket] = append(s.keys[bucket], who)
	}
	return s, nil
}

// Name implements exchange.Stage.
func (s *KeyAuth) Name() string { return "key_auth" }

// Inward implements exchange.Stage.
func (s *KeyAuth) Inward(x *exchange.Exchange) exchange.Step {
	f := s.find(x)
	var who *consumer
	if f.count == 1 {
		who = s.lookUp(f.key)
	}
	switch {
	case f.count == 0:
		s.counts.Missing.Inc()
	case f.count > 1:
		s.counts.Several.Inc()
	case who == nil:
		s.counts.Unknown.Inc()
	default:
		s.counts.Accepted.Inc()
	}
	switch {
	case s.shadow, f.count == 0 && s.optional:
		return exchange.Continue
	case who == nil:
		return x.Fail(exchange.Unauthenticated)
	}
	f.place.remove(x)
	x.Consumer = who.who
	x.Request.Header.SetCanonical(fieldConsumer, who.name)
	if len(who.groups) > 0 {
		x.Request.Header.SetCanonical(fieldGroups, who.groups)
	}
	return exchange.Continue
}

var (
	fieldConsumer  = []byte("X-Consumer-Name")
	fieldGroups    = []byte("X-Consumer-Groups")
	fieldAuth      = []byte("Authorization")
	fieldChallenge = []byte("Www-Authenticate")
	challenge      = []byte(`Key realm="gateway"`)
	schemeKey      = []byte("key ")
)

// Outward adds the challenge that a 401 needs (RFC 9110 15.5.2).
func (s *KeyAuth) Outward(x *exchange.Exchange) {
	if x.Fault == exchange.Unauthenticated {
		x.Response.Header.SetCanonical(fieldChallenge, challenge)
	}
}

// Finish implements exchange.Stage.
func (s *KeyAuth) Finish(*exchange.Exchange, exchange.End) {}

// found is the first key of a request, where it stood, and how many there are.
type found struct {
	key   []byte
	place *place
	count int
}

func (f *found) add(p *place, key []byte) {
	if f.count++; f.count == 1 {
		f.place, f.key = p, key
	}
}

func (s *KeyAuth) find(x *exchange.Exchange) (f found) {
	h := &x.Request.Header
	if s.cookies {
		keepCookies(h)
	}
	for i := range s.places {
		p := &s.places[i]
		switch {
		case len(p.header) > 0:
			for _, value := range h.PeekAll(string(p.header)) {
				if key, ok := p.inField(value); ok {
					f.add(p, key)
				}
			}
		case len(p.query) > 0:
			eachParam(query(x), '&', func(param, name, value []byte) {
				if string(unescape(name)) == string(p.query) {
					f.add(p, unescape(value))
				}
			})
		default:
			for field, value := range h.All() {
				if bytes.Equal(field, fieldCookie) {
					eachParam(value, ';', func(_, name, value []byte) {
						if bytes.Equal(name, p.cookie) {
							f.add(p, bytes.Trim(value, `"`))
						}
					})
				}
			}
		}
	}
	return f
}

// inField reads the key out of a field's value: all of it, but for Authorization, which says its scheme first.
func (p *place) inField(value []byte) ([]byte, bool) {
	if !bytes.Equal(p.header, fieldAuth) {
		return value, true
	}
	if len(value) < len(schemeKey) || !bytes.EqualFold(value[:len(schemeKey)], schemeKey) {
		return nil, false
	}
	return bytes.TrimLeft(value[len(schemeKey):], " "), true
}

// lookUp finds whose key it is. Which hashes share their first eight bytes is all that its time could tell.
func (s *KeyAuth) lookUp(key []byte) *consumer {
	sum := sha256.Sum256(key)
	var who *consumer
	near := s.keys[binary.BigEndian.Uint64(sum[:])]
	for _, c := range near {
		if subtle.ConstantTimeCompare(sum[:], c.hash[:]) == 1 {
			who = c
		}
	}
	if len(near) == 0 {
		subtle.ConstantTimeCompare(sum[:], s.nobody.hash[:])
	}
	return who
}

// remove takes the key out of the request, so that no upstream sees it.
func (p *place) remove(x *exchange.Exchange) {
	h := &x.Request.Header
	switch {
	case len(p.header) > 0:
		del(h, p.header)
	case len(p.query) > 0:
		p.removeParam(x)
	default:
		p.removeCookie(h)
	}
}

func (p *place) removeParam(x *exchange.Exchange) {
	h := &x.Request.Header
	path := len(x.Path)
	target := append([]byte(nil), h.RequestURI()[:path]...)
	separator := byte('?')
	eachParam(query(x), '&', func(param, name, _ []byte) {
		if string(unescape(name)) != string(p.query) {
			target = append(append(target, separator), param...)
			separator = '&'
		}
	})
	h.SetRequestURIBytes(target)
	x.Path = h.RequestURI()[:path]
}

func (p *place) removeCookie(h *fasthttp.RequestHeader) {
	var lines [][]byte
	for field, value := range h.All() {
		if !bytes.Equal(field, fieldCookie) {
			continue
		}
		var line []byte
		eachParam(value, ';', func(pair, name, _ []byte) {
			if !bytes.Equal(name, p.cookie) {
				if line != nil {
					line = append(line, "; "...)
				}
				line = append(line, pair...)
			}
		})
		if line != nil {
			lines = append(lines, line)
		}
	}
	rewrite(h, func(field []byte) bool { return bytes.Equal(field, fieldCookie) })
	addCookies(h, lines)
}

// eachParam walks name=value pairs; empty ones are passed over, blanks around them are not theirs in a cookie.
func eachParam(list []byte, separator byte, visit func(pair, name, value []byte)) {
	for len(list) > 0 {
		pair := list
		if i := bytes.IndexByte(list, separator); i >= 0 {
			pair, list = list[:i], list[i+1:]
		} else {
			list = nil
		}
		if separator == ';' {
			pair = bytes.Trim(pair, " \t")
		}
		if len(pair) == 0 {
			continue
		}
		name, value, _ := bytes.Cut(pair, []byte{'='})
		visit(pair, name, value)
	}
}

// unescape decodes a part of a query; what needs no decoding is returned as it is.
func unescape(part []byte) []byte {
	if bytes.IndexByte(part, '%') < 0 && bytes.IndexByte(part, '+') < 0 {
		return part
	}
	var args fasthttp.Args
	args.ParseBytes(append([]byte("v="), part...))
	return args.Peek("v")
}
