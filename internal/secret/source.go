package secret

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// maxSecret is the largest secret, in bytes, that a file or a variable may hold.
const maxSecret = 64 << 10

// Source says where a secret comes from. In YAML it is {env: NAME}, {file: PATH} or a plain string. The zero value is
// the absent secret, which is no error by itself.
type Source struct {
	env, file string
	inline    Text
	at, dir   string
}

// FromEnv is the secret in an environment variable.
func FromEnv(name string) Source { return Source{env: name} }

// FromFile is the secret in a file.
func FromFile(path string) Source { return Source{file: path} }

// FromText is a secret that stands in plain sight.
func FromText(t Text) Source { return Source{inline: t} }

// Located is the same source with the place that names it, such as "config.yaml:12:5", which begins every error of
// [Source.Resolve], and with the folder that a relative path starts from. Either may be empty.
func (s Source) Located(at, dir string) Source {
	s.at, s.dir = at, dir
	return s
}

// IsZero reports whether there is no secret.
func (s Source) IsZero() bool { return s.env == "" && s.file == "" && s.inline.IsZero() }

// Inline reports whether the secret stands in plain sight, which deserves a warning.
func (s Source) Inline() bool { return !s.inline.IsZero() }

// Equal reports whether both name the same secret, wherever they stand.
func (s Source) Equal(other Source) bool {
	return s.env == other.env && s.path() == other.path() && s.inline.Equal(other.inline)
}

// String says where the secret comes from, and never what it is.
func (s Source) String() string {
	switch {
	case s.env != "":
		return s.variable()
	case s.file != "":
		return "file " + s.path()
	default:
		return s.inline.String()
	}
}

// GoString implements [fmt.GoStringer].
func (s Source) GoString() string { return s.String() }

// MarshalText implements [encoding.TextMarshaler] with [Source.String].
func (s Source) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Resolve gets the secret; env looks up an environment variable, as [os.LookupEnv] does. One line break at the end is
// taken off. The absent source gives the absent secret; a source that names one which is missing or empty is an
// error, which says which variable or which file and never what is in it.
//
// A file must be a regular one of at most 64 KiB which the group and others may not read.
func (s Source) Resolve(env func(string) (string, bool)) (Text, error) {
	var text string
	var err error
	switch {
	case s.env != "":
		text, err = s.fromEnv(env)
	case s.file != "":
		text, err = s.fromFile()
	default:
		return s.inline, nil
	}
	if err == nil {
		text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
		if text == "" {
			err = errors.New("is empty")
		}
	}
	if err != nil {
		return Text{}, s.wrap(err)
	}
	return New(text), nil
}

func (s Source) wrap(err error) error {
	if s.at != "" {
		return fmt.Errorf("%s: secret from %s: %w", s.at, s, err)
	}
	return fmt.Errorf("secret from %s: %w", s, err)
}

func (s Source) fromEnv(env func(string) (string, bool)) (string, error) {
	text, ok := env(s.env)
	switch {
	case !ok:
		return "", errors.New("is not set")
	case len(text) > maxSecret:
		return "", fmt.Errorf("is larger than %d bytes", maxSecret)
	}
	return text, nil
}

func (s Source) fromFile() (string, error) {
	b, err := readPrivate(s.path(), maxSecret)
	return string(b), err
}

func (s Source) path() string {
	if s.file == "" || filepath.IsAbs(s.file) {
		return s.file
	}
	return filepath.Join(s.dir, s.file)
}

// variable names the environment variable, unless it does not look like one: a secret that was put where the name of
// its variable belongs is not to be shown.
func (s Source) variable() string {
	if strings.ToUpper(s.env) != s.env || len(s.env) > 64 {
		return "an environment variable"
	}
	return "environment variable " + s.env
}

// readPrivate reads a regular file of at most limit bytes that only its owner can read. Its errors say what is wrong
// and leave the path to the caller.
func readPrivate(path string, limit int64) ([]byte, error) {
	// Asked before opening, since opening a pipe would wait for its writer; asked again of what was opened.
	info, err := os.Stat(path)
	if err != nil {
		return nil, pathless(err)
	}
	if err := private(info); err != nil {
		return nil, err
	}
	f, err := os.Open(path) //nolint:gosec // The operator names the file.
	if err != nil {
		return nil, pathless(err)
	}
	defer func() { _ = f.Close() }() // Read only.
	if info, err = f.Stat(); err != nil {
		return nil, pathless(err)
	}
	if err := private(info); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, pathless(err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("is larger than %d bytes", limit)
	}
	return b, nil
}

// private says why a file cannot be trusted with a secret. Windows has no such permission bits.
func private(info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return errors.New("is not a regular file")
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		return fmt.Errorf("is open to the group or others (mode %04o): chmod 600", info.Mode().Perm())
	}
	return nil
}

// pathless takes the path off an error that is shown beside it.
func pathless(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// SourceError says why a YAML node is no [Source]. It never holds what stands there.
type SourceError struct {
	Line, Column int
	Message      string
}

// Error gives position and message.
func (e *SourceError) Error() string {
	return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Message)
}

// The mistakes that one can make in writing down a source.
const (
	badSource   = "a secret is {env: NAME}, {file: PATH} or a plain string"
	badVariable = "env takes the name of an environment variable: letters, digits and _"
	badFile     = "file takes a path"
)

// UnmarshalYAML reads {env: NAME}, {file: PATH} or a plain string; null is the absent source. Every error is a
// [*SourceError].
func (s *Source) UnmarshalYAML(node ast.Node) error {
	switch n := node.(type) {
	case *ast.NullNode:
		*s = Source{}
		return nil
	case *ast.MappingNode:
		return s.fromMapping(n)
	default:
		text, ok := scalar(n)
		if !ok || text == "" {
			return sourceError(node, badSource)
		}
		*s = FromText(New(text))
		return nil
	}
}

func (s *Source) fromMapping(n *ast.MappingNode) error {
	if len(n.Values) != 1 {
		return sourceError(n, badSource)
	}
	entry := n.Values[0]
	value, isText := scalar(entry.Value)
	switch entry.Key.GetToken().Value {
	case "env":
		if !isText || !variableName(value) {
			return sourceError(entry.Value, badVariable)
		}
		*s = FromEnv(value)
	case "file":
		if !isText || value == "" || strings.ContainsRune(value, 0) {
			return sourceError(entry.Value, badFile)
		}
		*s = FromFile(value)
	default:
		return sourceError(entry.Key, badSource)
	}
	return nil
}

// scalar gives the text of a node that is one; numbers count as written.
func scalar(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}

func variableName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func sourceError(node ast.Node, message string) error {
	e := &SourceError{Message: message}
	if tk := node.GetToken(); tk != nil && tk.Position != nil {
		e.Line, e.Column = tk.Position.Line, tk.Position.Column
	}
	return e
}
