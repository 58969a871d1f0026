package recurrence

import (
	"slices"
	"strconv"
	"strings"
)

// maxCronLength leaves room for a list of all 60 minutes.
const maxCronLength = 512

// field describes one of the five fields.
type field struct {
	name     string
	min, max int
	names    []string // in lower case; the first stands for min
}

var cronFields = []field{
	{name: "minute", min: 0, max: 59},
	{name: "hour", min: 0, max: 23},
	{name: "day of month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, names: []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}},
	{name: dayOfWeek, min: 0, max: 7, names: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
}

const dayOfWeek = "day of week"

var descriptors = map[string]string{
	"@hourly":   "0 * * * *",
	"@daily":    "0 0 * * *",
	"@midnight": "0 0 * * *",
	"@weekly":   "0 0 * * 0",
	"@monthly":  "0 0 1 * *",
	"@yearly":   "0 0 1 1 *",
	"@annually": "0 0 1 1 *",
}

// normalise checks a cron rule and writes it anew: five fields, numbers only, Sunday as 0. The cron library would take
// a zone in front of the rule (and panic without a blank behind it), intervals, empty lists that never match, and ? for *.
func normalise(text string) (string, error) {
	if len(text) > maxCronLength {
		return "", cronError("the rule is too long")
	}
	text = strings.ToLower(strings.Trim(text, " \t"))
	switch {
	case strings.HasPrefix(text, "tz="), strings.HasPrefix(text, "cron_tz="):
		return "", cronError("a zone does not belong into the rule; use time_zone")
	case strings.HasPrefix(text, "@every"):
		return "", cronError(`@every is not supported; use every instead, for example "every": "2d" with a start`)
	case strings.HasPrefix(text, "@"):
		fields, ok := descriptors[text]
		if !ok {
			return "", cronError("unknown descriptor; there are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually")
		}
		return fields, nil
	}
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' })
	switch len(parts) {
	case len(cronFields):
	case len(cronFields) + 1:
		return "", cronError("the rule has six fields; seconds and years are not supported")
	default:
		return "", cronError("the rule needs five fields: minute, hour, day of month, month, day of week")
	}
	for i, part := range parts {
		fixed, err := cronFields[i].normalise(part)
		if err != nil {
			return "", err
		}
		parts[i] = fixed
	}
	return strings.Join(parts, " "), nil
}

// normalise checks one field, in lower case, and writes it anew.
func (f field) normalise(text string) (string, error) {
	items := strings.Split(text, ",")
	for i, item := range items {
		fixed, err := f.item(item)
		if err != nil {
			return "", err
		}
		items[i] = fixed
	}
	return strings.Join(items, ","), nil
}

// item checks one element of a list and writes it anew.
func (f field) item(text string) (string, error) {
	base, stepText, hasStep := strings.Cut(text, "/")
	step := 1
	if hasStep {
		n, ok := number(stepText)
		if !ok || n < 1 || n > f.max {
			return "", f.error("a step must be a number from 1 to " + strconv.Itoa(f.max))
		}
		step = n
	}
	if base == "*" {
		return "*/" + strconv.Itoa(step), nil
	}
	lowText, highText, isRange := strings.Cut(base, "-")
	low, err := f.value(lowText)
	if err != nil {
		return "", err
	}
	high := low
	switch {
	case isRange:
		if high, err = f.value(highText); err != nil {
			return "", err
		}
		// FRI-SUN: at the end of a range Sunday is the day after Saturday.
		if f.name == dayOfWeek && high == 0 && low > 0 {
			high = 7
		}
		if low > high {
			return "", f.error("a range must not go backwards; write it as a list")
		}
	case hasStep && f.name == dayOfWeek:
		if low == 7 {
			return "", f.error("7 with a step is ambiguous; write Sunday as 0")
		}
		high = 6
	case hasStep:
		high = f.max
	}
	if f.name == dayOfWeek {
		return days(low, high, step), nil
	}
	return strconv.Itoa(low) + "-" + strconv.Itoa(high) + "/" + strconv.Itoa(step), nil
}

// days lists the days of the week from low to high by step, with 7 for another Sunday, as numbers from 0 to 6.
func days(low, high, step int) string {
	var list []string
	for day := low; day <= high; day += step {
		if text := strconv.Itoa(day % 7); !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return strings.Join(list, ",")
}

// value reads a number or a name.
func (f field) value(text string) (int, error) {
	if i := slices.Index(f.names, text); i >= 0 {
		return f.min + i, nil
	}
	if n, ok := number(text); ok {
		if n < f.min || n > f.max {
			return 0, f.error("must be from " + strconv.Itoa(f.min) + " to " + strconv.Itoa(f.max))
		}
		return n, nil
	}
	switch {
	case text == "":
		return 0, f.error("a value is missing")
	case text == "?":
		return 0, f.error("? is not supported; write *")
	case strings.ContainsAny(text, "*"):
		return 0, f.error("* stands alone or in front of a step")
	case strings.ContainsRune(text, '#'):
		return 0, f.error("# (the n-th weekday of a month) is not supported")
	case f.lettered(text, 'l'):
		return 0, f.error("L (the last day) is not supported")
	case f.lettered(text, 'w'):
		return 0, f.error("W (the nearest weekday) is not supported")
	case len(f.names) > 0:
		return 0, f.error("must be a number or one of " + strings.ToUpper(strings.Join(f.names, ", ")))
	}
	return 0, f.error("must be a number")
}

// lettered reports whether text is the letter, in front of or behind a number or alone.
func (f field) lettered(text string, letter byte) bool {
	rest := strings.Trim(text, "0123456789lw")
	return strings.IndexByte(text, letter) >= 0 && (rest == "" || slices.Contains(f.names, rest))
}

func (f field) error(message string) error {
	return cronError("in the field for the " + f.name + ": " + message)
}

// number reads one or two digits.
func number(text string) (int, bool) {
	if len(text) < 1 || len(text) > 2 {
		return 0, false
	}
	n := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		n = n*10 + int(text[i]-'0')
	}
	return n, true
}
