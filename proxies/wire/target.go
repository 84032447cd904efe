package wire

import "bytes"

// Flaw is a way in which two readers may read one path differently; a route may tolerate single ones.
type Flaw uint8

const (
	EncodedSlash Flaw = 1 << iota // %2f, %5c
	EncodedNUL                    // %00
	DotSegment                    // . or .. as a segment, plain or encoded, parameters behind it or not
	EmptySegment                  // // anywhere
	BadEncoding                   // % without two hexadecimal digits
)

// AnyFlaw is every flaw that a path can have and still be read: BadEncoding cannot.
const AnyFlaw = EncodedSlash | EncodedNUL | DotSegment | EmptySegment

// PathFlaws finds what is ambiguous in a path. An encoded dot, and a segment's parameters (..;x), count as some servers read them:
// decoded, and cut off.
func PathFlaws(path []byte) (f Flaw) {
	dots, other := 0, false // of the current segment's name
	inName, empty := true, false
	end := func(last bool) {
		if !other && (dots == 1 || dots == 2) {
			f |= DotSegment
		}
		if empty && !last {
			f |= EmptySegment
		}
		dots, other, inName, empty = 0, false, true, true
	}
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '/' {
			end(i == 0)
			continue
		}
		empty = false
		if c == '%' {
			d, ok := unhex(path[i+1:])
			if !ok {
				f |= BadEncoding
				other = true
				continue
			}
			i += 2
			switch c = d; c {
			case '/', '\\':
				f |= EncodedSlash
				end(true)
				empty = false
				continue
			case 0:
				f |= EncodedNUL
				continue
			}
		}
		switch {
		case c == ';':
			inName = false
		case inName && c == '.':
			dots++
		case inName:
			other = true
		}
	}
	end(true)
	return f
}

func unhex(b []byte) (byte, bool) {
	if len(b) < 2 || class[b[0]]&hexByte == 0 || class[b[1]]&hexByte == 0 {
		return 0, false
	}
	return nibble(b[0])<<4 | nibble(b[1]), true
}

func nibble(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// splitTarget reads a request target (RFC 9112 3.2): authority is set for the absolute form only, and origin is what remains of
// it. The path keeps every byte.
func splitTarget(method, target []byte) (authority, origin, path []byte, err error) {
	if len(target) == 0 {
		return nil, nil, nil, errTarget
	}
	if target[0] != '/' {
		if len(target) == 1 && target[0] == '*' {
			if string(method) != "OPTIONS" {
				return nil, nil, nil, errTarget
			}
			return nil, target, target, nil
		}
		if authority, target, err = splitAbsolute(target); err != nil {
			return nil, nil, nil, err
		}
	}
	path = target
	var query []byte
	if q := bytes.IndexByte(target, '?'); q >= 0 {
		path, query = target[:q], target[q:]
	}
	if !all(path, pathByte) || !all(query, queryByte) {
		return nil, nil, nil, errTarget
	}
	return authority, target, path, nil
}

// splitAbsolute splits http://authority/path; userinfo is an error (RFC 9110 4.2.4).
func splitAbsolute(target []byte) (authority, rest []byte, err error) {
	i := bytes.Index(target, []byte("://"))
	if i < 0 {
		return nil, nil, errTarget
	}
	if s := target[:i]; !equalFold(s, "http") && !equalFold(s, "https") {
		return nil, nil, errScheme
	}
	authority = target[i+3:]
	if i := bytes.IndexAny(authority, "/?#"); i >= 0 {
		authority, rest = authority[:i], authority[i:]
	}
	if bytes.IndexByte(authority, '@') >= 0 {
		return nil, nil, errUserinfo
	}
	return authority, rest, nil
}

// validHost checks uri-host [":" port] (RFC 9110 7.2): a name, an IPv4 or a bracketed IPv6 address. Percent-encoding and
// sub-delimiters, which the grammar would allow, name no host that exists.
func validHost(h []byte) bool {
	if len(h) == 0 || h[0] == ':' {
		return false
	}
	port := []byte(nil)
	if h[0] == '[' {
		end := bytes.IndexByte(h, ']')
		if end < 3 || !validIPv6(h[1:end]) {
			return false
		}
		if port = h[end+1:]; len(port) > 0 && port[0] != ':' {
			return false
		}
	} else {
		name := h
		if i := bytes.IndexByte(h, ':'); i >= 0 {
			name, port = h[:i], h[i:]
		}
		if !all(name, hostByte) || name[0] == '.' || bytes.Contains(name, []byte("..")) {
			return false
		}
	}
	if len(port) <= 1 {
		return true // an empty port is grammatical
	}
	n, ok := digits(port[1:])
	return ok && n <= 65535
}

func validIPv6(b []byte) bool {
	groups, run, double := 0, 0, false
	for i, c := range b {
		switch {
		case c == ':':
			if i > 0 && b[i-1] == ':' {
				if double {
					return false
				}
				double = true
			}
			run = 0
		case class[c]&hexByte != 0:
			if run == 0 {
				groups++
			}
			if run++; run > 4 {
				return false
			}
		case c == '.':
			run = 0 // an embedded IPv4 address: its digits were counted as groups
		default:
			return false
		}
	}
	return groups <= 10 && (double || groups >= 7)
}

// sameAuthority compares an authority with a Host value; the default port of the target's scheme may be left out on either side.
func sameAuthority(a, b []byte, port string) bool {
	return bytes.EqualFold(withoutPort(a, port), withoutPort(b, port))
}

func withoutPort(h []byte, port string) []byte {
	h = bytes.TrimSuffix(h, []byte(port))
	return bytes.TrimSuffix(h, []byte(":")) // an empty port is the default one
}

// defaultPort is the port that a target in absolute form means where it names none (RFC 9110 4.2.1, 4.2.2).
func defaultPort(target []byte) string {
	if len(target) > 5 && equalFold(target[:6], "https:") {
		return ":443"
	}
	return ":80"
}
