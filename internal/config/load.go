package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	// maxFile is the largest configuration in bytes.
	maxFile = 1 << 20
	// maxDepth is how many brackets, or dashes of one line, may stand inside one another. The parser's time grows
	// with the square of the depth.
	maxDepth = 64
)

// Load reads and checks the configuration at path, which every position names as given. A configuration with mistakes
// is [Problems]; any other error means that the file could not be read.
func Load(path string) (*Config, []Warning, error) {
	data, mode, err := read(path)
	if err != nil {
		return nil, nil, err
	}
	c, warnings, err := Parse(path, data)
	if err != nil {
		return nil, nil, err
	}
	if len(c.plain()) > 0 && mode.IsRegular() && mode.Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		warnings = append([]Warning{{
			Position: Position{File: path},
			Message:  fmt.Sprintf("holds secrets and is open to the group or others (mode %04o): chmod 600", mode.Perm()),
		}}, warnings...)
	}
	return c, warnings, nil
}

func read(path string) ([]byte, fs.FileMode, error) {
	f, err := os.Open(path) //nolint:gosec // The operator names the file.
	if err != nil {
		return nil, 0, fmt.Errorf("read the configuration: %w", err)
	}
	defer func() { _ = f.Close() }() // Read only.
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("read the configuration: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1)) // One more, for Parse to see that it is too much.
	if err != nil {
		return nil, 0, fmt.Errorf("read the configuration: %w", err)
	}
	return data, info.Mode(), nil
}

// Parse reads and checks a configuration; name is the file's path, for positions and for paths relative to it. Its
// error is [Problems].
func Parse(name string, data []byte) (*Config, []Warning, error) {
	root, err := parse(name, data)
	if err != nil {
		return nil, nil, err
	}
	c := defaults()
	d := newDecoder(file{name: name, dir: filepath.Dir(name)})
	if root != nil {
		d.value(root, reflect.ValueOf(&c).Elem(), "")
	}
	c.places = d.places
	c.check(d)
	if err := d.problems.Err(); err != nil {
		return nil, nil, err
	}
	c.settle(d.file.dir)
	return &c, c.warnings(), nil
}

// parse gives the one document of a file, or nil when it is empty.
func parse(name string, data []byte) (ast.Node, error) {
	if len(data) > maxFile {
		return nil, Problems{{Position{File: name}, fmt.Sprintf("is larger than %d bytes", maxFile)}}
	}
	tokens := lexer.Tokenize(string(data))
	if tk := tooDeep(tokens); tk != nil {
		return nil, Problems{{position(name, tk), fmt.Sprintf("is nested more than %d deep", maxDepth)}}
	}
	// Duplicate keys are found by the decoder, which can tell all of them.
	doc, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntax(name, err)
	}
	var root ast.Node
	for _, d := range doc.Docs {
		switch {
		case d.Body == nil, d.Body.Type() == ast.DirectiveType, d.Body.Type() == ast.NullType:
		case root != nil:
			return nil, Problems{{position(name, start(d.Body)), "a second document begins here; a configuration is one"}}
		default:
			root = d.Body
		}
	}
	return root, nil
}

// tooDeep gives the token at which the nesting passes maxDepth.
func tooDeep(tokens token.Tokens) *token.Token {
	brackets, dashes, line := 0, 0, 0
	for _, tk := range tokens {
		if tk.Position.Line != line {
			line, dashes = tk.Position.Line, 0
		}
		switch tk.Type { //nolint:exhaustive // Only what nests without indentation.
		case token.MappingStartType, token.SequenceStartType:
			brackets++
		case token.MappingEndType, token.SequenceEndType:
			brackets--
		case token.SequenceEntryType, token.MappingKeyType:
			dashes++
		}
		if brackets > maxDepth || dashes > maxDepth {
			return tk
		}
	}
	return nil
}

// syntax makes a problem of a parser's error. The parser's own text quotes the lines around the mistake, and some of
// its messages quote, in double quotes, a word of it: neither may be shown.
func syntax(name string, err error) error {
	yamlErr, ok := errors.AsType[yaml.Error](err)
	if !ok {
		return Problems{{Position{File: name}, "is not YAML"}}
	}
	message, _, _ := strings.Cut(yamlErr.GetMessage(), `"`)
	message, _, _ = strings.Cut(message, "\n")
	message = strings.TrimRight(message, ": ")
	if message == "" {
		message = "unexpected character"
	}
	return Problems{{position(name, yamlErr.GetToken()), "not YAML: " + message}}
}

func position(name string, tk *token.Token) Position {
	if tk == nil || tk.Position == nil {
		return Position{File: name}
	}
	return Position{File: name, Line: tk.Position.Line, Column: tk.Position.Column}
}

// start gives the first token of a node. A mapping's own token is its first colon.
func start(node ast.Node) *token.Token {
	switch n := node.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return start(n.Values[0])
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	return node.GetToken()
}
