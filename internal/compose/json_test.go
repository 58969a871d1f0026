package compose_test

import (
	"errors"
	"testing"

	"crier/internal/compose"
)

func TestHalfASurrogatePairIsRefused(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]bool{
		`{"text":"\ud83d\ude00"}`: true, `{"text":"\uD83D\uDE00 \u00e9"}`: true, `{"text":"\\ud800"}`: true, `{"text":"\\\\ud800"}`: true,
		`{"text":"\ud83d"}`: false, `{"text":"\ude00"}`: false, `{"text":"\ud83d\ud83d\ude00"}`: false, `{"text":"\ud83dx\ude00"}`: false,
		`{"text":"\ud83d\n"}`: false, `{"\udc00":1}`: false, `{"text":"\\\ud800"}`: false,
	} {
		_, err := compose.Parse([]byte(raw))
		e, refused := errors.AsType[*compose.BodyError](err)
		if refused == want {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if refused && e.Problems[0].Code != compose.CodeText {
			t.Errorf("%s: %s", raw, e.Problems[0].Code)
		}
	}
}
