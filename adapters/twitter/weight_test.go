package twitter_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"crier/adapters/twitter"
)

func TestWeight(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       int
	}{
		{"nothing", "", 0},
		{"ASCII", "Fresh bread at nine.", 20},
		{"umlauts, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, Georgian", "äΩЯשعहกქ", 8},
		{"quotation marks and dashes", "„a“ – ’b’ … ", 13},
		{"primes", "5′ 3″", 5},
		{"the last narrow code point and the first wide one", "\u10FF\u1100", 3},
		{"kanji, kana and hangul", "漢かカ한", 8},
		{"the euro", "5 €", 4},
		{"composed by normalisation", "A\u0301", 1},
		{"taken apart by normalisation", "\uFB2C", 3},
		{"line breaks", "a\r\nb", 4},
		{"a combining mark that nothing composes with", "q\u0301", 2},
		{"direction marks and code points that X refuses", "a\u202Ab\uFFFE", 6},

		{"an emoji", "🥖", 2},
		{"a row of emoji", "🥖🥐🍞", 6},
		{"a skin tone", "👋🏿", 2},
		{"a skin tone on a symbol of the basic plane", "☝🏽", 2},
		{"a family", "👩‍👩‍👧‍👦", 2},
		{"kiss with skin tones, the longest there is", "👩🏻‍❤️‍💋‍👩🏿", 2},
		{"a heart on fire", "❤️‍🔥", 2},
		{"a flag", "🇩🇪", 2},
		{"two flags", "🇩🇪🇫🇷", 4},
		{"the flag of Scotland", "🏴\U000E0067\U000E0062\U000E0073\U000E0063\U000E0074\U000E007F", 2},
		{"a keycap", "1️⃣", 2},
		{"a keycap without variation", "#⃣", 2},
		{"a digit", "1", 1},
		{"a digit with a variation that makes no emoji of it", "1\uFE0F", 3},
		{"a symbol as emoji", "©️", 2},
		{"a symbol as text", "©", 1},
		{"a sun as emoji and as text", "☀️☀", 4},
		{"a letter with a variation", "a\uFE0F", 3},
		{"a joiner between letters", "क\u200Dष", 3},
		{"an endless chain of joiners", strings.Repeat("👩\u200D", 100), 2 + 92*3},
		{"marks on an emoji", "🥖\u0301\u0301", 4},

		{"a URL", "https://example.com", 23},
		{"a long URL", "https://example.com/" + strings.Repeat("a", 300), 23},
		{"a short URL", "http://a.de", 23},
		{"an upper case URL", "HTTPS://EXAMPLE.COM/A", 23},
		{"a URL between words", "read https://example.com/a?b=c#d now", 5 + 23 + 4},
		{"a URL and a full stop", "See https://example.com/a.", 4 + 23 + 1},
		{"a URL in parentheses", "(https://example.com/a)", 25},
		{"parentheses in a URL", "https://example.com/a_(b)_c(d)", 23},
		{"an open parenthesis behind a URL", "https://example.com/a,(b", 23 + 3},
		{"a query", "https://example.com?a=1&b=2!", 24},
		{"a port", "https://example.com:8443/a", 23},
		{"two URLs", "https://a.de https://b.de", 47},
		{"a URL with an unknown ending", "https://example.thisisnew/a", 23},
		{"a URL behind Japanese", "見てhttps://example.com/a", 4 + 23},
		{"Japanese behind a domain", "https://example.comです", 23 + 4},
		{"Japanese behind a path", "https://example.com/aです", 23 + 4},
		{"an internationalised domain", "http://пример.рф/путь", 23},
		{"an accented domain", "https://bücher.de", 23},
		{"an encoded domain", "https://xn--bcher-kva.xn--p1ai", 23},
		{"a URL between direction marks", "\u2066\u202Ahttp://example.com/\u202C\u2069", 23 + 8},
		{"no host", "https://", 8},
		{"a host without dot", "https://localhost/a", 19},
		{"an address", "http://192.168.0.1/", 19},
		{"a scheme of another kind", "ftp://example.com", 17},
		{"a scheme behind a letter", "ahttps://example.com", 20},
		{"an underscore in the domain", "https://a_b.com", 15},
		{"an underscore further down", "https://a_b.example.com", 23},

		{"a bare domain", "example.com", 23},
		{"a bare domain with a path", "Now on example.co.uk/a/b.", 7 + 23 + 1},
		{"a bare domain behind Japanese", "見てexample.com", 4 + 23},
		{"two bare domains and Japanese", "a.deとb.de", 23 + 2 + 23},
		{"a country code by accident", "the end.So it begins", 4 + 23 + 10},
		{"a file", "main.go weight.txt", 18},
		{"an ending that goes on", "example.community2", 18},
		{"a number", "3.14", 4},
		{"an abbreviation", "e.g. this", 9},
		{"dots", "well...", 7},
		{"an address of mail", "info@example.com", 16},
		{"the front part of an address of mail", "info.de@example.com", 19},
		{"a mention", "@example.com", 12},
		{"behind a slash", "/example.com", 12},
		{"a bare domain with an underscore", "foo_bar.com", 11},
		{"a label of 63 bytes", strings.Repeat("a", 63) + ".com", 23},
		{"a label of 64 bytes", strings.Repeat("a", 64) + ".com", 68},
		{"a label that is too long once encoded", "http://" + strings.Repeat("あ", 60) + "んいう.com", 7 + 126 + 4},
		{"a URL that is too long", "https://a.de/" + strings.Repeat("b", 4100), 4113},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := twitter.Weight(tt.text); got != tt.want {
				t.Errorf("Weight(%.80q) = %d, want %d", tt.text, got, tt.want)
			}
		})
	}
}

func TestHasURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"see https://example.com": true,
		"see example.com/a":       true,
		"no link here.":           false,
		"mia@example.com":         false,
		"":                        false,
	} {
		if got := twitter.HasURL(text); got != want {
			t.Errorf("HasURL(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestCashtags(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"":                    0,
		"$ACME":               1,
		"$ACME and $BRK.B":    2,
		"$acme, $foo_x.":      2,
		"up $5 to $12.50":     0,
		"US$ACME":             0,
		"$TOOLONGX":           0,
		"$ACME1":              0,
		"$ACME日本":             0,
		"$ $$ $$ACME":         0,
		"日本\u3000$ACME\u3000": 1,
		"#$ACME":              0,
	} {
		if got := twitter.Cashtags(text); got != want {
			t.Errorf("Cashtags(%q) = %d, want %d", text, got, want)
		}
	}
}

// TestWeightTakesLinearTime weighs megabytes of what is expensive to take apart.
func TestWeightTakesLinearTime(t *testing.T) {
	t.Parallel()
	// Encoding a label takes a round for each code point that differs.
	var different strings.Builder
	for r := rune(0x20000); r < 0x20000+60_000; r++ {
		different.WriteRune(r)
	}
	distinct := different.String()
	for name, unit := range map[string]string{
		"dots":        "a.",
		"endings":     "com.",
		"schemes":     "http://a.co/",
		"paths":       "http://a.co/(",
		"parentheses": "((",
		"queries":     "a.co?",
		"scripts":     "漢.字",
		"one label":   distinct,
		"marks":       "\u0301",
		"joiners":     "👩\u200D",
		"flags":       "🇩",
		"invalid":     "\xff\xfe",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := "https://example.com/ http://" + strings.Repeat(unit, (2<<20)/len(unit))
			start := time.Now()
			if got := twitter.Weight(text); got < 25_000 {
				t.Errorf("Weight = %d, want more than any limit", got)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func FuzzWeight(f *testing.F) {
	for _, seed := range []string{
		"Fresh bread at https://example.com/a_(b)?c=d. #bread $ACME", "👩🏻‍❤️‍💋‍👩🏿 1️⃣ 🇩🇪", "見てexample.comとb.de", "http://пример.рф/путь",
		"a\xffb\u202A\uFFFE", "..a..com//", "http://xn--.com", "((((https://a.de/(", "A\u0301\u0301",
	} {
		f.Add(seed, "example.com")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a)+len(b) > 100_000 {
			return
		}
		weightA, weightB := twitter.Weight(a), twitter.Weight(b)
		if weightA < 0 || weightA > 23*len(a) {
			t.Fatalf("Weight(%q) = %d", a, weightA)
		}
		// A line break separates whatever could belong together.
		if got := twitter.Weight(a + "\n\n" + b); got != weightA+2+weightB {
			t.Fatalf("Weight of %q, an empty line and %q = %d, want %d + 2 + %d", a, b, got, weightA, weightB)
		}
		if got, want := twitter.Cashtags(a+"\n\n"+b), twitter.Cashtags(a)+twitter.Cashtags(b); got != want {
			t.Fatalf("Cashtags of %q and %q = %d, want %d", a, b, got, want)
		}
		if got, want := twitter.HasURL(a+"\n\n"+b), twitter.HasURL(a) || twitter.HasURL(b); got != want {
			t.Fatalf("HasURL of %q and %q = %v, want %v", a, b, got, want)
		}
		if !strings.ContainsRune(a, '.') && utf8.ValidString(a) && weightA > 8*utf8.RuneCountInString(a) {
			t.Fatalf("Weight(%q) = %d without a URL", a, weightA)
		}
	})
}
