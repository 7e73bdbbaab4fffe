package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/gate/config"
	"github.com/gatehouse-dev/gatehouse/gate/queue"
	"github.com/gatehouse-dev/gatehouse/gate/source"
	"github.com/gatehouse-dev/gatehouse/gate/store"
)

// maxNamed bounds how many failing tests a report names for a job.
const maxNamed = 5

// headline begins a report. Every one names its pipeline in the same way: by
// that the gate recognises its own reports (see wants).
func headline(pipeline string, o queue.Outcome) string {
	switch o.Result {
	case queue.ItemSuccess:
		return fmt.Sprintf("Build succeeded (%s pipeline).", pipeline)
	case queue.ItemMergeConflict:
		return fmt.Sprintf("Merge conflict (%s pipeline).", pipeline)
	case queue.ItemConfigError:
		return fmt.Sprintf("Configuration error (%s pipeline).", pipeline)
	case queue.ItemNoJobs:
		return fmt.Sprintf("Nothing to test (%s pipeline).", pipeline)
	case queue.ItemMergeFailure:
		return fmt.Sprintf("Merge failed (%s pipeline).", pipeline)
	case queue.ItemDequeued:
		return fmt.Sprintf("Removed from the queue (%s pipeline).", pipeline)
	default:
		return fmt.Sprintf("Build failed (%s pipeline).  For information on how to proceed, see the pages of the failed builds; comment \"recheck\" to run them again.", pipeline)
	}
}

// vote is the value of Verified for an outcome; ok is false for none.
func vote(pipeline string, o queue.Outcome) (value int, ok bool) {
	switch o.Result {
	case queue.ItemSuccess:
		return strength(pipeline), true
	case queue.ItemFailure, queue.ItemMergeConflict, queue.ItemConfigError:
		return -strength(pipeline), true
	default:
		return 0, false
	}
}

// strength is how far a pipeline votes.
func strength(pipeline string) int {
	if pipeline == config.Gate {
		return 2
	}
	return 1
}

// message writes a report (A5): the build set, then the jobs, in the order of
// the job file.
func message(c queue.Report, builds []store.Build, url func(path string) string) source.Report {
	var b strings.Builder
	b.WriteString(headline(c.Pipeline, c.Outcome))
	if c.Buildset != nil {
		fmt.Fprintf(&b, "\n%s\n", url("/buildset/"+c.Buildset.ID))
	}
	if c.Outcome.Reason != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(c.Outcome.Reason))
	}
	r := source.Report{Pipeline: c.Pipeline}
	if c.Buildset != nil {
		jobLines(&b, c.Buildset, builds, url)
		r.Comments = configComments(&b, c.Buildset.Errors)
	}
	r.Message = b.String()
	if v, ok := vote(c.Pipeline, c.Outcome); ok {
		r.Labels = map[string]int{verified: v}
	}
	return r
}

func jobLines(b *strings.Builder, set *queue.Buildset, builds []store.Build, url func(string) string) {
	if len(set.Jobs) == 0 || set.Verdict != queue.Ready {
		return
	}
	b.WriteByte('\n')
	for _, j := range set.Jobs {
		last := set.Last(j.Name)
		if last == nil {
			fmt.Fprintf(b, "- %s : not run\n", j.Name)
			continue
		}
		i := slices.IndexFunc(builds, func(x store.Build) bool { return x.UUID == last.ID })
		line := fmt.Sprintf("- %s %s : %s", j.Name, url("/build/"+last.ID), last.Result)
		if i >= 0 {
			line += outcomeOf(builds[i])
		}
		if !j.Voting {
			line += " (non-voting)"
		}
		if slices.Contains(set.Flakes(), j.Name) {
			line += " (flaky: it failed once on the same state)"
		}
		b.WriteString(line + "\n")
	}
}

// outcomeOf is a build's time and what failed in it.
func outcomeOf(x store.Build) string {
	var s string
	if !x.Began.IsZero() && !x.Ended.IsZero() {
		s = " in " + duration(x.Ended.Sub(x.Began))
	}
	if x.Result == queue.Success || x.Result == queue.Skipped || x.Result == queue.Canceled {
		return s
	}
	names := x.Findings.Names()
	if len(names) == 0 {
		if x.Detail != "" && x.Result != queue.Failure {
			s += " (" + x.Detail + ")"
		}
		return s
	}
	more := ""
	if len(names) > maxNamed {
		more = fmt.Sprintf(" and %d more", len(names)-maxNamed)
		names = names[:maxNamed]
	}
	return s + " (failing: " + strings.Join(names, ", ") + more + ")"
}

// configComments writes what is wrong in the job file, as remarks at its lines
// and into the message.
func configComments(b *strings.Builder, wrong config.Errors) []source.Comment {
	var comments []source.Comment
	if len(wrong) > 0 {
		b.WriteByte('\n')
	}
	for _, e := range wrong {
		fmt.Fprintf(b, "- %s\n", e.Error())
		comments = append(comments, source.Comment{Path: config.File, Line: e.Line, Message: e.Message})
	}
	return comments
}

// duration is a time as Zuul writes it: 14s, 3m 05s, 1h 02m 03s.
func duration(d time.Duration) string {
	s := int(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm %02ds", s/60, s%60)
	default:
		return fmt.Sprintf("%dh %02dm %02ds", s/3600, s/60%60, s%60)
	}
}

// seconds is a time for a log: 3.2s.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
