package jose

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// maxDepth is how far objects and lists may be nested: claims are flat, or nearly so.
const maxDepth = 16

// Object reads one JSON object strictly: a name that stands twice in any object, which parsers settle in different ways, nesting
// deeper than 16, and bytes that are no UTF-8 are refused. Numbers stay as they are written (json.Number).
func Object(data []byte) (map[string]any, bool) {
	if !utf8.Valid(data) || !shallow(data) || !json.Valid(data) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, ok := readValue(d)
	object, is := v.(map[string]any)
	return object, ok && is
}

// shallow counts brackets before anything is parsed.
func shallow(data []byte) bool {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			if depth++; depth > maxDepth {
				return false
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return true
}

// readValue reads one value; the text is known to be JSON, so only names that stand twice can be wrong.
func readValue(d *json.Decoder) (any, bool) {
	token, err := d.Token()
	if err != nil {
		return nil, false
	}
	switch token {
	case json.Delim('{'):
		return readObject(d)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, ok := readValue(d)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		_, err = d.Token()
		return list, err == nil
	}
	return token, true
}

func readObject(d *json.Decoder) (any, bool) {
	object := map[string]any{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		key, ok := name.(string)
		if _, twice := object[key]; !ok || twice {
			return nil, false
		}
		if object[key], ok = readValue(d); !ok {
			return nil, false
		}
	}
	_, err := d.Token()
	return object, err == nil
}
