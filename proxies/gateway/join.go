package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"strings"
	"unicode/utf8"
)

// join writes one JSON object of the parts, in their order. A part that says it is JSON, and is, stands in it byte for byte; other
// text is a string; what is not UTF-8 is {"base64": "..."}; an empty body and a failed part are null. Whatever the bodies hold, the
// result is one JSON object with one member for each part.
func join(names []string, found []fetched) []byte {
	size := 2
	for i := range found {
		size += len(names[i]) + len(found[i].body) + 8
	}
	out := append(make([]byte, 0, size), '{')
	for i := range found {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, '"')
		out = append(out, names[i]...) // config lets nothing into a name that would need escaping
		out = append(out, '"', ':')
		out = appendPart(out, &found[i])
	}
	return append(out, '}', '\n')
}

func appendPart(out []byte, f *fetched) []byte {
	switch {
	case f.fault != nil || len(f.body) == 0:
		return append(out, "null"...)
	case isJSON(f.typ) && utf8.Valid(f.body) && json.Valid(f.body):
		return append(out, bytes.TrimSpace(f.body)...)
	case utf8.Valid(f.body):
		var text bytes.Buffer
		e := json.NewEncoder(&text)
		e.SetEscapeHTML(false)
		_ = e.Encode(string(f.body)) // a string, into memory: cannot fail
		return append(out, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...)
	}
	out = append(out, `{"base64":"`...)
	out = base64.StdEncoding.AppendEncode(out, f.body)
	return append(out, `"}`...)
}

// isJSON knows application/json and every +json (RFC 6839 3.1).
func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && (t == "application/json" || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+json"))
}

// withQuery appends the query of a request's target to another target.
func withQuery(target string, uri []byte) string {
	_, query, ok := strings.Cut(string(uri), "?")
	switch {
	case !ok || query == "":
		return target
	case strings.Contains(target, "?"):
		return target + "&" + query
	}
	return target + "?" + query
}
