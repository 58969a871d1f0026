package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"crier/internal/client"
)

// print writes v as JSON when that was asked for, and what words writes otherwise.
func (c *cli) print(v any, words func(p *page)) error {
	if c.output == "json" {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode the output: %w", err)
		}
		var out bytes.Buffer
		if err := json.Indent(&out, b, "", "  "); err != nil {
			return fmt.Errorf("encode the output: %w", err)
		}
		out.WriteByte('\n')
		return flush(c.out, out.Bytes())
	}
	p := &page{}
	words(p)
	return flush(c.out, p.buf.Bytes())
}

func flush(w io.Writer, b []byte) error {
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// page gathers the text that a command prints.
type page struct{ buf bytes.Buffer }

// line writes a line of trusted words around cleaned values.
func (p *page) line(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = clean(s)
		}
	}
	fmt.Fprintf(&p.buf, format+"\n", args...)
}

// table writes rows in aligned columns. Cells are put on one line.
func (p *page) table(indent string, rows ...[]string) {
	w := tabwriter.NewWriter(&p.buf, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		text(w, indent)
		for i, cell := range row {
			if i > 0 {
				text(w, "\t")
			}
			text(w, oneLine(cell))
		}
		text(w, "\n")
	}
	_ = w.Flush() // A buffer takes everything.
	p.trim()
}

// trim takes the blanks at line ends that an empty last cell leaves.
func (p *page) trim() {
	lines := strings.Split(p.buf.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	p.buf.Reset()
	p.buf.WriteString(strings.Join(lines, "\n"))
}

// text writes to a buffer, which takes everything.
func text(w io.Writer, s string) { _, _ = io.WriteString(w, s) }

// tree writes any JSON as "name  value" rows, with dots between the names of inner things.
func (p *page) tree(raw json.RawMessage) {
	rows := leaves("", raw, nil)
	p.table("", rows...)
}

func leaves(name string, raw json.RawMessage, rows [][]string) [][]string {
	var object map[string]json.RawMessage
	if json.Unmarshal(raw, &object) == nil && object != nil {
		for _, key := range slices.Sorted(maps.Keys(object)) {
			inner := key
			if name != "" {
				inner = name + "." + key
			}
			rows = leaves(inner, object[key], rows)
		}
		return rows
	}
	var array []json.RawMessage
	if json.Unmarshal(raw, &array) == nil && array != nil {
		for i, v := range array {
			rows = leaves(name+"["+strconv.Itoa(i)+"]", v, rows)
		}
		return rows
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	if text == "" || text == "null" {
		return rows
	}
	return append(rows, []string{name, text})
}

// clean makes text of others safe for a terminal: no control characters but line ends and tabs, and nothing that turns
// the direction of writing.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == unicode.ReplacementChar:
			return '?'
		}
		return r
	}, s)
}

// oneLine is clean text without line ends.
func oneLine(s string) string { return strings.Join(strings.Fields(clean(s)), " ") }

// short cuts text to n characters.
func short(s string, n int) string {
	r := []rune(oneLine(s))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:n-1]) + "…"
}

// zone is the time zone of that name, UTC for one that is not known here.
func zone(name string) *time.Location {
	l, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return time.UTC
	}
	return l
}

// when says an instant in a zone; the zero time is a dash.
func when(t time.Time, zoneName string) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(zone(zoneName)).Format("2006-01-02 15:04 MST")
}

// due says when a delivery is due, in the zone that it was asked for in.
func due(d *client.Delivery) string { return when(d.Due, d.TimeZone) }

// place names where a delivery goes.
func place(d *client.Delivery) string {
	if d.Destination != "" {
		return d.Account + "/" + d.Destination
	}
	return d.Account
}
