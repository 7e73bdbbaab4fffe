package review

import "time"

// Event is something that happened, as stream-events tells of it.
type Event struct {
	Position int64 // grows; never used twice
	Type     string
	Created  time.Time
	Project  string
	Ref      string // refs/heads/main; "" if the event is of no branch
	Change   int64  // 0 if the event is of no change
	JSON     []byte // one line, without its end
}
