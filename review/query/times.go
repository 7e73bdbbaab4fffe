package query

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	ageForm = regexp.MustCompile(`(\d{1,9})\s*([a-z]+)\s*`)
	ageAll  = regexp.MustCompile(`^(\d{1,9}\s*[a-z]+\s*)+$`)
)

const day = 24 * time.Hour

var units = map[string]time.Duration{
	"s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": day, "day": day, "days": day,
	"w": 7 * day, "week": 7 * day, "weeks": 7 * day,
	"mon": 30 * day, "month": 30 * day, "months": 30 * day,
	"y": 365 * day, "year": 365 * day, "years": 365 * day,
}

// maxAge keeps the sum of an age far from overflowing.
const maxAge = 100 * 365 * day

// age finds what was last updated at least that long ago.
func age(c *compiler, value string) error {
	value = lower(strings.TrimSpace(value))
	if !ageAll.MatchString(value) {
		return failf("Invalid age: %s", value)
	}
	var total time.Duration
	for _, m := range ageForm.FindAllStringSubmatch(value, -1) {
		unit, ok := units[m[2]]
		if !ok {
			return failf("Invalid age unit: %s", m[2])
		}
		n, _ := strconv.ParseInt(m[1], 10, 64) // the form leaves no other outcome
		if n > int64(maxAge/unit) {
			return failf("Invalid age: %s", value)
		}
		total += time.Duration(n) * unit
		if total > maxAge {
			return failf("Invalid age: %s", value)
		}
	}
	return c.write("c.updated <= ?", c.env.Now.Add(-total).UnixMicro())
}

// layouts are the forms of a time, which is UTC unless it names its zone.
// Go reads a fraction after the seconds with any of them.
var layouts = []string{"2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", time.RFC3339}

// Time reads a time as queries and the events log give it.
func Time(value string) (time.Time, error) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, value); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, failf("Invalid date: %s", value)
}

func timeLimit(column, comparison string) operator {
	return func(c *compiler, value string) error {
		t, err := Time(value)
		if err != nil {
			return err
		}
		if column == "c.submitted" {
			return c.write("c.submitted > 0 AND c.submitted "+comparison+" ?", t.UnixMicro())
		}
		return c.write(column+" "+comparison+" ?", t.UnixMicro())
	}
}
