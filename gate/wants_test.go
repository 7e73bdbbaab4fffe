package gate // wants is a rule of its own, worth a table

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/source"
)

const (
	checkPassed = "Patch Set 2: Verified+1\n\nBuild succeeded (check pipeline)."
	checkFailed = "Patch Set 2: Verified-1\n\nBuild failed (check pipeline).  For information"
	gateFailed  = "Patch Set 2: Verified-2\n\nBuild failed (gate pipeline).  For information"
	refused     = "Patch Set 2:\n\nNot enqueued (gate pipeline).\n\nit needs change 1,1"
	approval    = "Patch Set 2: Code-Review+2 Workflow+1"
)

func own(text string) source.Message {
	return source.Message{Own: true, PatchSet: 2, Text: text}
}

func theirs(text string) source.Message {
	return source.Message{PatchSet: 2, Text: text}
}

// A1.2, and C8: what a change wants is read off the change.
func TestA1_2WhatAChangeWants(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	check, gate := []string{"check"}, []string{"gate"}
	both := []source.Vote{{Label: "Code-Review", Value: 2}, {Label: "Workflow", Value: 1}}
	for name, tt := range map[string]struct {
		change   source.Change
		votes    []source.Vote
		messages []source.Message
		want     []string
	}{
		"a new patch set":                     {want: check},
		"work in progress":                    {change: source.Change{WIP: true}},
		"abandoned":                           {change: source.Change{Status: source.Abandoned}},
		"from before this gate":               {change: source.Change{Uploaded: began.Add(-time.Hour)}},
		"from before this gate, asked for":    {change: source.Change{Uploaded: began.Add(-time.Hour)}, messages: []source.Message{theirs("Patch Set 2:\n\nrecheck")}, want: check},
		"reported":                            {messages: []source.Message{own(checkPassed)}},
		"reported for an older patch set":     {messages: []source.Message{{Own: true, PatchSet: 1, Text: checkPassed}}, want: check},
		"start is no report":                  {messages: []source.Message{own("Patch Set 2:\n\nStarting check jobs.")}, want: check},
		"a person quotes a report":            {messages: []source.Message{theirs(checkPassed)}, want: check},
		"recheck":                             {messages: []source.Message{own(checkFailed), theirs("Patch Set 2:\n\nrecheck please")}, want: check},
		"recheck with a vote":                 {messages: []source.Message{own(checkFailed), theirs("Patch Set 2: Code-Review+1\n\nfine\nrecheck")}, want: check},
		"recheck answered":                    {messages: []source.Message{theirs("recheck"), own(checkFailed)}},
		"recheck in the middle of a sentence": {messages: []source.Message{own(checkFailed), theirs("Patch Set 2:\n\nplease do not recheck")}},
		"the gate says recheck":               {messages: []source.Message{own(checkFailed), own("recheck")}},
		"restored":                            {messages: []source.Message{own(checkFailed), theirs("Restored\n\nstill needed")}, want: check},
		"approved at once":                    {votes: both, want: gate},
		"approved and checked":                {votes: both, messages: []source.Message{own(checkPassed), theirs(approval)}, want: gate},
		"approved, work in progress":          {votes: both, change: source.Change{WIP: true}},
		"Code-Review is missing":              {votes: both[1:], messages: []source.Message{own(checkPassed)}},
		"Workflow is missing":                 {votes: both[:1], messages: []source.Message{own(checkPassed)}},
		"somebody vetoes":                     {votes: append([]source.Vote{{Label: "Code-Review", Value: -2}}, both...), messages: []source.Message{own(checkPassed)}},
		"another requirement":                 {votes: both, change: source.Change{Unmet: map[string]string{"Docs": "UNSATISFIED"}}, messages: []source.Message{own(checkPassed)}},
		"the gate's own label":                {votes: both, change: source.Change{Unmet: map[string]string{"Verified": "UNSATISFIED"}}, want: gate},
		"failed in the gate":                  {votes: both, messages: []source.Message{theirs(approval), own(gateFailed)}},
		"failed, talk":                        {votes: both, messages: []source.Message{own(gateFailed), theirs("Patch Set 2:\n\nWorkflow+1 was wrong")}},
		"failed, approved again":              {votes: both, messages: []source.Message{own(gateFailed), theirs("Patch Set 2: Workflow+1")}, want: gate},
		"failed, check passed since":          {votes: both, messages: []source.Message{own(gateFailed), theirs("recheck"), own(checkPassed)}, want: gate},
		"failed, recheck asked for":           {votes: both, messages: []source.Message{own(gateFailed), theirs("recheck")}, want: check},
		"refused is not tested":               {votes: both, messages: []source.Message{theirs(approval), own(refused)}, want: check},
		"refused, approved again":             {votes: both, messages: []source.Message{own(refused), theirs("Patch Set 2: Workflow+1")}, want: gate},
	} {
		t.Run(name, func(t *testing.T) {
			c := tt.change
			c.Key = queue.Key{Number: 3, PatchSet: 2}
			c.Votes, c.Messages = tt.votes, tt.messages
			if c.Status == "" {
				c.Status = source.New
			}
			if c.Uploaded.IsZero() {
				c.Uploaded = began.Add(time.Hour)
			}
			assert.Equal(t, tt.want, wants(&c, began))
		})
	}
}
