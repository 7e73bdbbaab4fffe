package review

import (
	"errors"
	"strings"
	"syscall"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// orFull is err, or fault.NoSpace if it says that the server's disk is full;
// git has no exit status for that, only its text.
func orFull(err error) error {
	if err == nil {
		return nil
	}
	if db.IsFull(err) || errors.Is(err, syscall.ENOSPC) || strings.Contains(err.Error(), "No space left on device") {
		return fault.New(fault.NoSpace, "the server's disk is full: nothing was changed, tell its administrator")
	}
	return err
}
