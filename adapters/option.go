package adapters

import "strings"

// maxOptionName is how much of an option's name is told again; those that a platform knows are shorter.
const maxOptionName = 64

// OptionAt is the place of an option in a problem. The name of one that is none may be a value in the wrong place: what
// does not look like a name is not repeated, and a long one is cut.
func OptionAt(name string) string {
	plain := func(r rune) bool {
		return r == '_' || r == '-' || (r >= '0' && r <= '9') || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z')
	}
	switch {
	case name == "":
		name = "(empty)"
	case strings.TrimFunc(name, plain) != "":
		name = "(unprintable)"
	case len(name) > maxOptionName:
		name = name[:maxOptionName] + "…"
	}
	return "options." + name
}
