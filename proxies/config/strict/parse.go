package strict

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	yaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// parse turns the bytes into the tree below d.root, or leaves it nil and says why.
func (d *Document) parse(data []byte) {
	if len(data) > MaxBytes {
		d.add(d.faultAt(1, 1, "the file has %d bytes: at most %d are read", len(data), MaxBytes))
		return
	}
	// One kind of line end, so that the parser's lines and ours are the same; a byte order mark is no content.
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	data = bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), []byte("\r"), []byte("\n"))
	if !d.readable(data) {
		return
	}
	d.lines = strings.Split(string(data), "\n")
	body := d.document(string(data))
	if body == nil {
		return
	}
	c := converter{doc: d, anchors: map[string]*Node{}}
	d.root = c.node(body, 1)
	if c.made > MaxNodes {
		d.root = nil
		d.add(d.faultAt(1, 1, "more than %d values in the file", MaxNodes))
	}
}

// readable refuses what is not text. Control characters have no place in a file and would reach the terminal with the line shown.
func (d *Document) readable(data []byte) bool {
	line, column := 1, 1
	for rest := data; len(rest) > 0; column++ {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			d.add(d.faultAt(line, column, "byte 0x%02x is not UTF-8", rest[0]))
			return false
		case r == '\n':
			line, column = line+1, 0
		case r != '\t' && unicode.IsControl(r):
			d.add(d.faultAt(line, column, "control character %U: write it as an escape in double quotes", r))
			return false
		}
		rest = rest[size:]
	}
	return true
}

// document reads the YAML and returns the one document of it.
func (d *Document) document(source string) (body ast.Node) {
	defer func() {
		// The parser is somebody else's and the input anybody's: a panic in it is a file that cannot be read.
		if p := recover(); p != nil {
			d.add(d.faultAt(1, 1, "this is not YAML that can be read (%v)", p))
			body = nil
		}
	}()
	tokens := lexer.Tokenize(source)
	if deep := tooDeep(tokens); deep != nil {
		d.add(d.faultAt(deep.Position.Line, deep.Position.Column, "nested deeper than %d", MaxDepth))
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		d.addSyntax(err)
		return nil
	}
	for _, document := range file.Docs {
		if document.Body == nil || document.Body.Type() == ast.DirectiveType {
			continue
		}
		if body != nil {
			t := document.Body.GetToken()
			d.add(d.faultAt(t.Position.Line, 1, "a second document: a file holds one"))
			return nil
		}
		body = document.Body
	}
	if body == nil {
		d.add(d.faultAt(1, 1, "the file is empty"))
	}
	return body
}

// tooDeep finds the token where nesting passes the limit, before the recursive parser meets it. Brackets nest anywhere; within a
// line "- - -", "? ?" and tags nest too. Indentation cannot nest deep enough in MaxBytes to matter to the parser.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, inLine, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType, token.TagType, token.AnchorType:
			inLine++
		}
		if brackets > MaxDepth || inLine > MaxDepth {
			return t
		}
	}
	return nil
}

func (d *Document) addSyntax(err error) {
	line, column, message := 1, 1, err.Error()
	var at yaml.Error
	if errors.As(err, &at) {
		message = at.GetMessage()
		if t := at.GetToken(); t != nil && t.Position != nil {
			line, column = t.Position.Line, t.Position.Column
		}
	}
	// The parser places some faults behind the end of the file.
	line = min(max(line, 1), len(d.lines))
	column = min(max(column, 1), utf8.RuneCountInString(d.lines[line-1])+1)
	d.add(d.faultAt(line, column, "YAML: %s", message))
}

// converter makes Nodes of the parser's tree.
type converter struct {
	doc     *Document
	anchors map[string]*Node
	made    int // nodes and merged entries
}

// fail reports what cannot be understood and stands in for it, so that the rest of the file is still checked.
func (c *converter) fail(t *token.Token, format string, args ...any) *Node {
	line, column := position(t)
	c.doc.add(c.doc.faultAt(line, column, format, args...))
	return &Node{Kind: unreadable, Line: line, Column: column, doc: c.doc, depth: 1}
}

func position(t *token.Token) (line, column int) {
	if t == nil || t.Position == nil {
		return 1, 1
	}
	return max(1, t.Position.Line), max(1, t.Position.Column)
}

func (c *converter) node(n ast.Node, depth int) *Node {
	if depth > MaxDepth {
		return c.fail(n.GetToken(), "nested deeper than %d", MaxDepth)
	}
	if c.full() {
		return &Node{Kind: unreadable, doc: c.doc, depth: 1}
	}
	line, column := position(n.GetToken())
	made := &Node{Line: line, Column: column, doc: c.doc, depth: 1}
	switch n := n.(type) {
	case *ast.MappingNode:
		made.Kind = Mapping
		c.entries(made, n.Values, depth)
		made.flow(n.Start, n.IsFlowStyle)
	case *ast.MappingValueNode:
		made.Kind = Mapping
		c.entries(made, []*ast.MappingValueNode{n}, depth)
		made.flow(n.Start, n.IsFlowStyle)
	case *ast.SequenceNode:
		made.Kind = List
		for _, item := range n.Values {
			child := c.node(item, depth+1)
			made.Items = append(made.Items, child)
			made.depth = max(made.depth, child.depth+1)
		}
	case *ast.NullNode:
		made.Kind = Null
	case *ast.StringNode:
		made.Text = n.Value
		made.Quoted = n.Token.Type == token.SingleQuoteType || n.Token.Type == token.DoubleQuoteType
	case *ast.LiteralNode:
		made.Text, made.Quoted = n.Value.Value, true
	case *ast.AnchorNode:
		return c.anchor(n, depth)
	case *ast.AliasNode:
		return c.alias(n, depth)
	case *ast.TagNode:
		return c.fail(n.Start, "tags such as %s are not read: leave it out", n.Start.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		made.Text = n.GetToken().Value
	default:
		return c.fail(n.GetToken(), "%s cannot stand here", strings.ToLower(n.Type().String()))
	}
	return made
}

// flow sets the place of a mapping: its bracket, or the first key of a block (the parser's own is the first colon).
func (n *Node) flow(start *token.Token, isFlow bool) {
	if isFlow {
		n.Line, n.Column = position(start)
	} else if len(n.Entries) > 0 {
		n.Line, n.Column = n.Entries[0].Line, n.Entries[0].Column
	}
}

// entries fills a mapping. Merge keys (<<) come after all written keys, which win over them.
func (c *converter) entries(into *Node, values []*ast.MappingValueNode, depth int) {
	first := map[string]int{}
	var merges []*Node
	for _, pair := range values {
		if pair.Key.IsMergeKey() {
			merges = append(merges, c.node(pair.Value, depth+1))
			continue
		}
		key, ok := pair.Key.(ast.ScalarNode)
		if !ok || pair.Key.Type() == ast.NullType {
			c.fail(pair.Key.GetToken(), "a key is plain or quoted text")
			continue
		}
		t := key.GetToken()
		name := t.Value
		line, column := position(t)
		if at, twice := first[name]; twice {
			c.doc.add(c.doc.faultAt(line, column, "duplicate key %q: first written in line %d", name, at))
			continue
		}
		first[name] = line
		value := c.node(pair.Value, depth+1)
		into.Entries = append(into.Entries, Entry{name, line, column, value})
		into.depth = max(into.depth, value.depth+1)
	}
	for _, m := range merges {
		c.merge(into, m, first)
	}
}

func (c *converter) merge(into, from *Node, taken map[string]int) {
	sources := []*Node{from}
	if from.Kind == List {
		sources = from.Items
	}
	for _, s := range sources {
		if s.Kind == unreadable {
			continue
		}
		if s.Kind != Mapping {
			s.Report("<< merges a mapping or a list of mappings, found %s", s)
			continue
		}
		for _, e := range s.Entries {
			if _, known := taken[e.Key]; !known && !c.full() {
				taken[e.Key] = e.Line
				into.Entries = append(into.Entries, e)
				into.depth = max(into.depth, e.Value.depth+1)
			}
		}
	}
}

func (c *converter) anchor(n *ast.AnchorNode, depth int) *Node {
	name := n.Name.GetToken().Value
	value := c.node(n.Value, depth)
	if _, twice := c.anchors[name]; twice {
		return c.fail(n.Start, "anchor &%s is already set", name)
	}
	c.anchors[name] = value
	return value
}

// alias shares the anchored node; the number of visits while decoding is bounded, and so is the depth.
func (c *converter) alias(n *ast.AliasNode, depth int) *Node {
	name := n.Value.GetToken().Value
	value, known := c.anchors[name]
	if !known {
		return c.fail(n.Start, "%s", Unknown("anchor", name, c.names()))
	}
	if depth+value.depth > MaxDepth {
		return c.fail(n.Start, "nested deeper than %d", MaxDepth)
	}
	return value
}

// full counts one more value and says whether that is too many. Merge keys can multiply a small file into a large one.
func (c *converter) full() bool {
	c.made++
	return c.made > MaxNodes
}

func (c *converter) names() []string {
	names := make([]string, 0, len(c.anchors))
	for name := range c.anchors {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
