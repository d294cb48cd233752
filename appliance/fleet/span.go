package fleet

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// Span is a length of time in a setting, written as people do: 60d, 24h, 90m, 30s.
type Span time.Duration

// spanUnits from the largest to the smallest: a span is written in the largest that fits it wholly.
var spanUnits = []struct {
	letter byte
	length time.Duration
}{{'d', 24 * time.Hour}, {'h', time.Hour}, {'m', time.Minute}, {'s', time.Second}}

func (s Span) String() string {
	for _, u := range spanUnits {
		if n := time.Duration(s) / u.length; n != 0 && n*u.length == time.Duration(s) {
			return strconv.FormatInt(int64(n), 10) + string(u.letter)
		}
	}
	return strconv.FormatInt(int64(time.Duration(s)/time.Second), 10) + "s"
}

func (s Span) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalJSON also reads a number of nanoseconds, which is how spans were stored before.
func (s *Span) UnmarshalJSON(b []byte) error {
	var n int64
	if json.Unmarshal(b, &n) == nil {
		*s = Span(n)
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil || len(text) < 2 {
		return fmt.Errorf("%s: want a span of time like 60d, 24h, 90m or 30s", b)
	}
	number, letter := text[:len(text)-1], text[len(text)-1]
	for _, u := range spanUnits {
		n, err := strconv.ParseInt(number, 10, 32)
		if u.letter == letter && err == nil && n >= 0 && time.Duration(n) <= maxSpan/u.length {
			*s = Span(time.Duration(n) * u.length)
			return nil
		}
	}
	return fmt.Errorf("%s: want a span of time like 60d, 24h, 90m or 30s", b)
}

// maxSpan is a hundred years: what is longer is a typing error.
const maxSpan = 100 * 365 * 24 * time.Hour
