package gate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gatehouse-dev/gatehouse/gate/source"
)

// starts are the gate's messages on a change that tell of a start.
func (r *review) starts(number int) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := []string{}
	for _, m := range r.changes[number].Messages {
		if m.Own && strings.Contains(m.Text, "Starting") {
			head, _, _ := strings.Cut(m.Text, "\n")
			list = append(list, head)
		}
	}
	return list
}

func TestStartTakesBackOnlyTheVoteThatSubmits(t *testing.T) {
	r := newReview(jobs)
	inHouse(t, r, newMachines(works()), func(h *house) {
		t := h.t
		r.push(1)
		pass(5 * time.Minute)
		assert.Equal(t, 1, r.verified(1))
		r.set(func() { r.refuse = source.ErrRefused })
		r.approve(1)
		pass(5 * time.Second)
		assert.Equal(t, 1, r.verified(1), "the vote of check stands while the gate works")
		pass(5 * time.Minute)
		assert.Equal(t, 2, r.verified(1), "it passed and was not merged")
		r.set(func() { r.refuse = nil })
		r.approve(1)
		pass(5 * time.Second)
		assert.Zero(t, r.verified(1), "nobody submits it while it is tested again")
		assert.Equal(t, []string{"Patch Set 1:", "Patch Set 1:", "Patch Set 1: Verified+0"}, r.starts(1))
		pass(5 * time.Minute)
		assert.Equal(t, source.Merged, r.status(1))
	})
}
