package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Position is a place in a configuration file. Line and column count from 1, the column in characters; a line of 0
// means the file as a whole.
type Position struct {
	File         string
	Line, Column int
}

// String gives file:line:column.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

func comparePositions(a, b Position) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// Problem is one mistake in a configuration. Its message holds nothing of what stands in the file but names of keys
// that Crier knows or that cannot be secrets.
type Problem struct {
	Position

	Message string
}

// Error gives "file:line:column: message".
func (p Problem) Error() string { return p.Position.String() + ": " + p.Message }

// Problems are all mistakes that were found in a configuration, in the order of their places. They are never empty
// when they are an error.
type Problems []Problem

// Error gives one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single problems to [errors.As].
func (p Problems) Unwrap() []error {
	errs := make([]error, len(p))
	for i, problem := range p {
		errs[i] = problem
	}
	return errs
}

// Err sorts the problems and gives them as an error, each once, or nil when there are none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	slices.SortFunc(p, func(a, b Problem) int {
		return cmp.Or(comparePositions(a.Position, b.Position), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(p)
}

// Place says where a value stands, by a path such as "accounts[2].identity", or what is around it when it is not there.
func (c *Config) Place(path string) Position { return c.places.find(path, file{}) }

// CheckCredentials refuses credentials of the account at index i by names that its adapter does not know. Its error is
// [Problems].
func (c *Config) CheckCredentials(i int, known []string) error {
	fields := make(map[string]reflect.Value, len(known))
	for _, name := range known {
		fields[name] = reflect.Value{}
	}
	var problems Problems
	for name := range c.Accounts[i].Credentials {
		if _, ok := fields[name]; !ok {
			at := c.Place(child(child(item("accounts", i), "credentials"), name) + keyMark)
			problems = append(problems, Problem{at, strings.Replace(unknown(name, fields), "key", "credential", 1)})
		}
	}
	return problems.Err()
}

// Warning is something that works and yet should not stay as it is. Like [Problem] it holds no secret.
type Warning struct {
	Position

	Message string
}

// String gives "file:line:column: message".
func (w Warning) String() string { return w.Position.String() + ": " + w.Message }
