package gate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/config"
	"github.com/gatehouse-dev/gatehouse/gate/source"
)

// notEnqueued begins the message to a change that may not enter a pipeline.
const notEnqueued = "Not enqueued"

// The labels that the pipelines read and vote on: OpenStack's.
const (
	codeReview = "Code-Review"
	verified   = "Verified"
	workflow   = "Workflow"
)

var (
	// reported is in every message that ends an item, and in no other.
	reported = regexp.MustCompile(`\((\w[\w-]*) pipeline\)`)
	recheck  = regexp.MustCompile(`(?im)^\s*(recheck|reverify)\b`)
	restored = regexp.MustCompile(`\ARestored\b`)
	// approved is how Gerrit tells of a vote in a message's first line.
	approved = regexp.MustCompile(`\APatch Set \d+:.*\b(Workflow\+1|Code-Review\+2)\b`)
	passed   = regexp.MustCompile(`Build succeeded \(` + config.Check + ` pipeline\)`)
)

// wants decides by the look of a change into which pipelines it should go.
// It asks what is, not what happened, so that a lost event loses nothing: what
// the gate said last stands in the change's messages, and what people said
// after it asks for more. Patch sets from before since are left alone until
// somebody asks.
func wants(c *source.Change, since time.Time) []string {
	switch {
	case unmet(c) == "" && wantsGate(c, since):
		return []string{config.Gate} // which tests all that check does, and more
	case wantsCheck(c, since):
		return []string{config.Check}
	default:
		return nil
	}
}

func wantsCheck(c *source.Change, since time.Time) bool {
	if c.Status != source.New || c.WIP {
		return false
	}
	after, ever := messagesAfter(c, "")
	asked := slices.ContainsFunc(after, func(m source.Message) bool {
		return !m.Own && (recheck.MatchString(m.Text) || ever && restored.MatchString(m.Text))
	})
	return asked || !ever && !c.Uploaded.Before(since)
}

func wantsGate(c *source.Change, since time.Time) bool {
	after, ever := messagesAfter(c, config.Gate)
	return slices.ContainsFunc(after, func(m source.Message) bool {
		if m.Own {
			return passed.MatchString(m.Text)
		}
		return approved.MatchString(m.Text) && (ever || !m.At.Before(since))
	}) || !ever && !c.Uploaded.Before(since)
}

// messagesAfter returns what was said of the current patch set after the
// gate's last report for the pipeline, or for any if it is empty. ever says
// whether there is such a report.
func messagesAfter(c *source.Change, pipeline string) (after []source.Message, ever bool) {
	for _, m := range c.Messages {
		if m.PatchSet != c.PatchSet {
			continue
		}
		if m.Own && ends(m.Text, pipeline) {
			after, ever = nil, true
			continue
		}
		after = append(after, m)
	}
	return after, ever
}

// ends reports whether a message of the gate answers what the pipeline, or any,
// was to find out. A change that was refused entry was not tested.
func ends(text, pipeline string) bool {
	said := reported.FindStringSubmatch(text)
	if said == nil {
		return false
	}
	if pipeline == "" {
		return !strings.Contains(text, notEnqueued)
	}
	return said[1] == pipeline
}

// unmet is the first requirement of the gate pipeline that the change does
// not meet; empty: it meets all (A1.2).
func unmet(c *source.Change) string {
	switch {
	case c.Status != source.New:
		return "the change is " + strings.ToLower(string(c.Status))
	case c.WIP:
		return "the change is work in progress"
	}
	for _, need := range []struct {
		label     string
		low, high int
	}{{codeReview, -2, 2}, {workflow, -1, 1}} {
		approvals := 0
		for _, v := range c.Votes {
			switch {
			case v.Label != need.label:
			case v.Value <= need.low:
				return fmt.Sprintf("%s %+d by %s", need.label, v.Value, v.By)
			case v.Value >= need.high:
				approvals++
			}
		}
		if approvals == 0 {
			return fmt.Sprintf("%s %+d is missing", need.label, need.high)
		}
	}
	// What else the server asks for, apart from what this pipeline gives.
	for name, state := range c.Unmet {
		if name != verified && name != codeReview && name != workflow {
			return fmt.Sprintf("submit requirement %s is %s", name, strings.ToLower(state))
		}
	}
	return ""
}
