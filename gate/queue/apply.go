package queue

import (
	"slices"
	"strconv"

	"github.com/google/uuid"
)

// Apply changes the state as the event demands and returns what to do next,
// in order. The commands must be carried out after the state is stored:
// after a restart, Restart asks again for those that were not.
func (s *State) Apply(e Event) []Command {
	t := &turn{State: s}
	switch e := e.(type) {
	case Enqueue:
		t.enqueue(e)
	case Update:
		t.update(e)
	case Prepared:
		t.prepared(e)
	case BuildFailing:
		t.buildFailing(e)
	case BuildDone:
		t.buildDone(e)
	case Reported:
		t.reported(e)
	case Dequeue:
		t.dequeue(e)
	case Resume:
		t.resume(e)
	case Restart:
		t.restart()
	}
	for _, p := range s.definitions {
		t.passes(p)
	}
	return t.commands
}

// turn is one application of an event.
type turn struct {
	*State
	commands []Command
}

func (t *turn) emit(c Command) { t.commands = append(t.commands, c) }

func (t *turn) nextID() int64 {
	t.Next++
	return t.Next
}

// nextUUID gives out ids that are as unique as the instance's name.
func (t *turn) nextUUID() string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(t.Instance+"/"+strconv.FormatInt(t.nextID(), 10))).String()
}

func (t *turn) enqueue(e Enqueue) {
	p, ok := t.definition(e.Pipeline)
	if !ok || t.Holds(p.Name, e.Change.Key) || t.superceded(p.Name, e.Change.Key) {
		return
	}
	t.replaceOlder(p.Name, e.Change.Key)
	if p.Manager == Dependent {
		for _, n := range e.Needed {
			if reason := t.refusal(p, e, n); reason != "" {
				t.emit(Refuse{Pipeline: p.Name, Change: e.Change, Reason: reason})
				return
			}
		}
		for _, n := range e.Needed {
			t.enter(p, e.Queue, n.Change, e)
		}
	}
	t.enter(p, e.Queue, e.Change, e)
}

// superceded reports whether the patch set is in a pipeline for which it had
// to leave this one (A1.5).
func (t *turn) superceded(pipeline string, k Key) bool {
	return slices.ContainsFunc(t.definitions, func(p Pipeline) bool {
		return slices.Contains(p.Supercedes, pipeline) && t.Holds(p.Name, k)
	})
}

// refusal is why a needed change keeps the one that needs it out (A1.3, A8.2).
func (t *turn) refusal(p Pipeline, e Enqueue, n Needed) string {
	name := "change " + n.Change.String() + " (" + n.Change.Subject + ")"
	switch {
	case n.Queue != e.Queue:
		return "it needs " + name + ", which is gated in another queue: approve again once that one is merged"
	case t.Holds(p.Name, n.Change.Key):
		return ""
	case n.Unmet != "":
		return "it needs " + name + ", which cannot be gated: " + n.Unmet
	default:
		return ""
	}
}

// enter puts a change at the tail (A1.5).
func (t *turn) enter(p Pipeline, queue string, c Change, e Enqueue) {
	if t.Holds(p.Name, c.Key) {
		return
	}
	for _, other := range p.Supercedes {
		t.removeEverywhere(other, func(i *Item) bool { return i.Change.Number == c.Number })
	}
	q := t.queue(p, queue)
	q.Items = append(q.Items, &Item{ID: t.nextID(), Change: c, EnqueuedAt: e.At})
}

// replaceOlder removes other patch sets of a change that enters.
func (t *turn) replaceOlder(pipeline string, k Key) {
	t.removeEverywhere(pipeline, func(i *Item) bool {
		return i.Change.Number == k.Number && i.Change.PatchSet != k.PatchSet && i.Outcome == nil
	})
}

func (t *turn) update(e Update) {
	for _, p := range t.definitions {
		for _, q := range t.Pipelines[p.Name].Queues {
			for _, i := range slices.Clone(q.Items) {
				if e.Merged {
					i.Change.Needs = without(i.Change.Needs, e.Number)
				}
				if i.Change.Number != e.Number || i.Outcome != nil {
					continue
				}
				t.updateItem(p, q, i, e)
			}
		}
	}
}

// updateItem is the re-check of an item (A2 step 1). A change that is closed
// or has a newer patch set leaves without a word: nobody waits for one.
func (t *turn) updateItem(p Pipeline, q *Queue, i *Item, e Update) {
	unmet := e.Unmet[p.Name]
	switch {
	case e.Closed, e.Current != 0 && e.Current != i.Change.PatchSet:
		t.remove(q, i)
	case unmet == "":
	case p.Manager == Dependent:
		t.leave(p, q, i, Outcome{Result: ItemFailure, Reason: "the change no longer meets the requirements of the pipeline: " + unmet})
	default:
		t.remove(q, i)
	}
}

func (t *turn) dequeue(e Dequeue) {
	p, ok := t.definition(e.Pipeline)
	if !ok {
		return
	}
	for _, q := range t.Pipelines[p.Name].Queues {
		for _, i := range slices.Clone(q.Items) {
			if i.Change.Number == e.Number && i.Outcome == nil {
				t.leave(p, q, i, Outcome{Result: ItemDequeued, Reason: "removed by " + e.By})
			}
		}
	}
}

func (t *turn) resume(e Resume) {
	if p, ok := t.definition(e.Pipeline); ok {
		t.queue(p, e.Queue).Stopped = ""
	}
}

func (t *turn) removeEverywhere(pipeline string, match func(*Item) bool) {
	state, ok := t.Pipelines[pipeline]
	if !ok {
		return
	}
	for _, q := range state.Queues {
		for _, i := range slices.Clone(q.Items) {
			if i.Outcome == nil && match(i) {
				t.remove(q, i)
			}
		}
	}
}

// remove takes an item out of its queue and ends its builds.
func (t *turn) remove(q *Queue, i *Item) {
	t.drop(i)
	q.Items = slices.DeleteFunc(q.Items, func(x *Item) bool { return x == i })
}

// leave removes an item and reports its outcome.
func (t *turn) leave(p Pipeline, q *Queue, i *Item, o Outcome) {
	t.cancel(i)
	q.Items = slices.DeleteFunc(q.Items, func(x *Item) bool { return x == i })
	state := t.Pipelines[p.Name]
	state.Leaving = append(state.Leaving, i)
	t.report(p, i, o)
}

func (t *turn) report(p Pipeline, i *Item, o Outcome) {
	i.Outcome = &o
	t.emit(Report{
		Pipeline: p.Name, Item: i.ID, Change: i.Change, Buildset: i.Buildset.clone(), Outcome: o,
		Submit: p.Manager == Dependent && o.Result == ItemSuccess,
	})
}

func (b *Buildset) clone() *Buildset {
	if b == nil {
		return nil
	}
	c := *b
	c.Builds = slices.Clone(b.Builds)
	return &c
}

func without(list []int, n int) []int {
	return slices.DeleteFunc(slices.Clone(list), func(x int) bool { return x == n })
}
