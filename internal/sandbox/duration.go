package sandbox

import (
	"encoding/json"
	"fmt"
	"time"
)

// duration reads a time span from JSON: a string such as "1m30s", or a number of nanoseconds.
type duration struct{ time.Duration }

// UnmarshalJSON implements [json.Unmarshaler].
func (d *duration) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		return json.Unmarshal(b, (*int64)(&d.Duration))
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("delay: %w", err)
	}
	d.Duration = v
	return nil
}
