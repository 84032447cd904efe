package wire

import "encoding/binary"

// Classes of octets, looked up while a head is read.
const (
	tokenByte = 1 << iota // RFC 9110 5.6.2
	nameByte              // a token byte that may stand in a field name: no underscore, which CGI folds into a hyphen
	valueByte             // RFC 9110 5.5: HTAB, SP, VCHAR, obs-text
	pathByte              // RFC 3986 3.3, with % and /
	queryByte             // RFC 3986 3.4, and what browsers leave raw in a query
	hostByte              // letters, digits, and - . _ ~ : what names hosts; no percent-encoding, no lists
	hexByte
)

var class = classes()

func classes() (t [256]byte) {
	set := func(bit byte, chars string) {
		for i := range len(chars) {
			t[chars[i]] |= bit
		}
	}
	const alnum = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	const path = alnum + "-._~!$&'()*+,;=:@%/"
	set(tokenByte, alnum+"!#$%&'*+-.^_`|~")
	set(nameByte, alnum+"!#$%&'*+-.^`|~")
	set(pathByte, path)
	set(queryByte, path+"?[]{}|\\^`")
	set(hostByte, alnum+"-._~")
	set(hexByte, "0123456789ABCDEFabcdef")
	for c := range 256 {
		if c == '\t' || c >= ' ' && c != 0x7f {
			t[c] |= valueByte
		}
	}
	return t
}

func all(b []byte, bit byte) bool {
	for _, c := range b {
		if class[c]&bit == 0 {
			return false
		}
	}
	return true
}

// validValue is all(b, valueByte), eight octets at a time: a head is mostly values.
func validValue(b []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		low := (x - 0x20*ones) &^ x          // high bit: an octet below SP
		del := x ^ 0x7f*ones                 // a zero octet: DEL
		if (low|(del-ones)&^del)&high != 0 { // may also be HTAB, or a borrow: look closely
			if !all(b[:8], valueByte) {
				return false
			}
		}
		b = b[8:]
	}
	return all(b, valueByte)
}

// canonical checks a field name and writes it in canonical case where it stands (Content-Type), so that every lookup by canonical
// name finds it. Field names are case-insensitive (RFC 9110 5.1), but fasthttp's lookups are not: a name kept as `x-forwarded-for`
// would slip past a stage that deletes X-Forwarded-For.
func canonical(name []byte) bool {
	first := true
	for i, c := range name {
		if class[c]&nameByte == 0 {
			return false
		}
		if first {
			if 'a' <= c && c <= 'z' {
				name[i] = c - 'a' + 'A'
			}
		} else if 'A' <= c && c <= 'Z' {
			name[i] = c - 'A' + 'a'
		}
		first = c == '-'
	}
	return len(name) > 0
}

// equalFold compares with a lower-case ASCII word.
func equalFold(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// trim removes optional whitespace on both sides (RFC 9110 5.6.3).
func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// element cuts the first element off a comma-separated list.
func element(list []byte) (first, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return trim(list[:i]), list[i+1:]
		}
	}
	return trim(list), nil
}

// digits reads 1*DIGIT that fits an int64; everything else is false (RFC 9110 8.6).
func digits(b []byte) (int64, bool) {
	if len(b) == 0 {
		return 0, false
	}
	var v int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := int64(c - '0')
		if v > (1<<63-1-d)/10 {
			return 0, false
		}
		v = v*10 + d
	}
	return v, true
}
