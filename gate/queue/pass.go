package queue

import (
	"fmt"
	"slices"
)

// passes goes over a pipeline's queues until nothing changes any more (A2).
func (t *turn) passes(p Pipeline) {
	state := t.Pipelines[p.Name]
	for _, q := range state.Queues {
		for t.pass(p, q) {
		}
	}
	// A queue is remembered while it holds something or has something to say.
	state.Queues = slices.DeleteFunc(state.Queues, func(q *Queue) bool {
		return len(q.Items) == 0 && q.Stopped == "" && q.Window == p.Window.start()
	})
}

// pass goes over the items of a queue once, from head to tail. It reports
// whether an item left, so that another pass is needed.
func (t *turn) pass(p Pipeline, q *Queue) bool {
	if q.Stopped != "" {
		return false
	}
	view := passView{failing: map[int]bool{}, ahead: map[int]bool{}}
	for index, i := range q.Items {
		if p.Manager == Independent {
			view = passView{}
		}
		if i.Outcome != nil { // being submitted
			view.add(i, false)
			continue
		}
		if missing := view.missing(i); missing != 0 && p.Manager == Dependent {
			t.leave(p, q, i, Outcome{Result: ItemFailure, Reason: fmt.Sprintf("it needs change %d, which is not merged and not ahead in the queue", missing)})
			return true
		}
		t.advance(p, q, i, index, &view)
		if i.Buildset != nil && i.Buildset.finished() && (index == 0 || p.Manager == Independent) {
			if t.finish(p, q, i) {
				return true
			}
		}
		view.add(i, i.Blocked != "" || i.Buildset != nil && i.Buildset.failing())
	}
	return false
}

// passView is what a pass has seen of the items ahead.
type passView struct {
	chain   []Change // the non-failing items, in order: the nnfi's state
	failing map[int]bool
	ahead   map[int]bool
	busy    int // items with unfinished work
}

func (v *passView) add(i *Item, failing bool) {
	if v.ahead == nil {
		return
	}
	v.ahead[i.Change.Number] = true
	if failing {
		v.failing[i.Change.Number] = true
		return
	}
	v.chain = append(v.chain, i.Change)
	if i.Outcome == nil && (i.Buildset == nil || !i.Buildset.finished()) {
		v.busy++
	}
}

// missing is a change that the item needs and that is not ahead of it.
func (v *passView) missing(i *Item) int {
	for _, n := range i.Change.Needs {
		if !v.ahead[n] {
			return n
		}
	}
	return 0
}

func (v *passView) base() []Key {
	var keys []Key
	for _, c := range v.chain {
		keys = append(keys, c.Key)
	}
	return keys
}

// advance brings one item as far as it can go now (A2 steps 2 to 5).
func (t *turn) advance(p Pipeline, q *Queue, i *Item, index int, v *passView) {
	i.Blocked = ""
	for _, n := range i.Change.Needs {
		if v.failing[n] {
			i.Blocked = fmt.Sprintf("needed change %d is failing", n)
			t.drop(i)
			return
		}
	}
	if i.Buildset != nil && !slices.Equal(i.Buildset.Base, v.base()) {
		t.reset(i, cause(i.Buildset.Base, v.base()))
	}
	active := p.Manager == Independent || v.busy < q.Window
	if i.Buildset == nil && active {
		i.Buildset = &Buildset{ID: t.nextUUID(), Base: v.base()}
		t.emit(Prepare{Pipeline: p.Name, Item: i.ID, Buildset: i.Buildset.ID, Ahead: slices.Clone(v.chain), Change: i.Change})
	}
	if i.Buildset != nil && i.Buildset.Verdict == Ready && active {
		t.start(p, i, index)
	}
}

// cause says which change ahead made a build set useless.
func cause(old, now []Key) string {
	for _, k := range old {
		if !slices.Contains(now, k) {
			return fmt.Sprintf("change %s ahead failed or left the queue", k)
		}
	}
	for _, k := range now {
		if !slices.Contains(old, k) {
			return fmt.Sprintf("change %s ahead no longer fails", k)
		}
	}
	return "the order of the changes ahead is another"
}

// reset throws a build set away and remembers why.
func (t *turn) reset(i *Item, why string) {
	i.Resets = append(i.Resets, Reset{Buildset: i.Buildset.ID, Base: i.Buildset.Base, Cause: why})
	t.drop(i)
}

// drop throws the build set away: builds canceled, results forgotten.
func (t *turn) drop(i *Item) {
	if i.Buildset == nil {
		return
	}
	t.cancel(i)
	t.emit(Drop{Buildset: i.Buildset.ID})
	i.Buildset = nil
}

// cancel ends the builds that run; the build set keeps its results.
func (t *turn) cancel(i *Item) {
	if i.Buildset == nil {
		return
	}
	var ids []string
	for n := range i.Buildset.Builds {
		if b := &i.Buildset.Builds[n]; b.Result == "" {
			b.Result = Canceled
			ids = append(ids, b.ID)
		}
	}
	if len(ids) > 0 {
		t.emit(Cancel{Builds: ids})
	}
}

// finish reports an item whose turn it is (A2 step 7). It reports whether the
// item left the queue; one that is to be submitted stays until that is done.
func (t *turn) finish(p Pipeline, q *Queue, i *Item) bool {
	o := i.Buildset.outcome()
	if p.Manager == Dependent && o.Result == ItemSuccess {
		t.report(p, i, o)
		return false
	}
	if p.Manager == Dependent && o.Result == ItemFailure {
		q.Window = p.Window.shrunk(q.Window)
	}
	t.leave(p, q, i, o)
	return true
}

func (t *turn) reported(e Reported) {
	p, q, i := t.find(e.Item)
	if i == nil || i.Outcome == nil {
		return
	}
	if q == nil {
		state := t.Pipelines[p.Name]
		state.Leaving = slices.DeleteFunc(state.Leaving, func(x *Item) bool { return x == i })
		return
	}
	if e.Stale {
		i.Outcome = nil
		t.resetAll(q, "the branch moved under the queue")
		return
	}
	q.Items = slices.DeleteFunc(q.Items, func(x *Item) bool { return x == i })
	if e.Merged {
		t.merged(p, q, i)
	}
	if e.Mismatch != "" {
		q.Stopped = e.Mismatch
		t.resetAll(q, "the queue was stopped")
	}
}

// merged takes the change out of what the items behind are built on: it is in
// the branch now, the tested state is the same tree.
func (t *turn) merged(p Pipeline, q *Queue, i *Item) {
	q.Window = p.Window.grown(q.Window)
	for _, behind := range q.Items {
		behind.Change.Needs = without(behind.Change.Needs, i.Change.Number)
		if b := behind.Buildset; b != nil {
			b.Base = slices.DeleteFunc(slices.Clone(b.Base), func(k Key) bool { return k == i.Change.Key })
		}
	}
}

func (t *turn) resetAll(q *Queue, why string) {
	for _, i := range q.Items {
		if i.Buildset != nil && i.Outcome == nil {
			t.reset(i, why)
		}
	}
}
