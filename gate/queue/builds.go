package queue

import "slices"

// start asks for the builds of an item that can run now (A7.4).
func (t *turn) start(p Pipeline, i *Item, index int) {
	b := i.Buildset
	if !i.Started && len(b.Jobs) > 0 {
		i.Started = true
		t.emit(ReportStart{Pipeline: p.Name, Item: i.ID, Change: i.Change})
	}
	// Skipping one job may decide another: go on until nothing changes.
	for again := true; again; {
		again = false
		for _, j := range b.Jobs {
			if last := b.Last(j.Name); last != nil && !last.Superseded {
				continue
			}
			switch b.readiness(j) {
			case Success:
				t.run(p, i, j, index)
			case Skipped:
				b.Builds = append(b.Builds, Build{ID: t.nextUUID(), Job: j.Name, Try: 1, Result: Skipped})
				again = true
			default:
			}
		}
	}
}

// readiness is Success if the job may start, Skipped if it never can, empty
// if it waits.
func (b *Buildset) readiness(j Job) Result {
	ready := Success
	for _, d := range j.Dependencies {
		switch r, final := b.Final(d); {
		case !final:
			ready = ""
		case !r.Passed():
			return Skipped
		}
	}
	return ready
}

func (t *turn) run(p Pipeline, i *Item, j Job, index int) {
	b := i.Buildset
	build := Build{ID: t.nextUUID(), Job: j.Name, Try: 1}
	if last := b.Last(j.Name); last != nil {
		build.Try = last.Try + 1
	}
	b.Builds = append(b.Builds, build)
	t.emit(Run{
		Pipeline: p.Name, Item: i.ID, Buildset: b.ID, Build: build.ID, Job: j.Name, Try: build.Try, Last: b.retries(j.Name)+1 >= j.Attempts,
		Commit: b.Commit, Change: i.Change, Priority: p.Precedence*1000 + relative(index),
	})
}

// relative is the relative priority of an item at a position: exact below
// ten, then in tens, then in hundreds (A9.1).
func relative(index int) int {
	switch {
	case index < 10:
		return index
	case index < 100:
		return index / 10 * 10
	default:
		return min(index/100*100, 900)
	}
}

func (t *turn) prepared(e Prepared) {
	for _, p := range t.definitions {
		for _, i := range t.Pipelines[p.Name].Items() {
			b := i.Buildset
			if b == nil || b.ID != e.Buildset || b.Verdict != "" {
				continue
			}
			b.Verdict, b.Message, b.Errors = e.Verdict, e.Message, e.Errors
			b.Commit, b.Tree, b.FailFast = e.Commit, e.Tree, e.FailFast
			b.Jobs = slices.Clone(e.Jobs)
			if b.Verdict == Ready && len(b.Jobs) == 0 {
				b.Verdict = NoJobs
			}
		}
	}
}

// build returns a build that has not ended, with its item; nil if the id is
// not known (any more).
func (t *turn) build(id string) (*Item, *Build) {
	for _, p := range t.definitions {
		for _, i := range t.Pipelines[p.Name].Items() {
			if i.Buildset == nil {
				continue
			}
			for n := range i.Buildset.Builds {
				if b := &i.Buildset.Builds[n]; b.ID == id && b.Result == "" {
					return i, b
				}
			}
		}
	}
	return nil, nil
}

func (t *turn) buildFailing(e BuildFailing) {
	i, b := t.build(e.Build)
	if b == nil {
		return
	}
	b.Failing = true
	t.failFast(i)
}

func (t *turn) buildDone(e BuildDone) {
	i, b := t.build(e.Build)
	if b == nil {
		return
	}
	set := i.Buildset
	job := set.Jobs[slices.IndexFunc(set.Jobs, func(j Job) bool { return j.Name == b.Job })]
	b.Result = e.Result
	if b.Failing && b.Result == Success {
		b.Result = Failure // A6.4: the result stays FAILURE even if the run ends 0
	}
	switch b.Result {
	case Aborted: // A6.2: retried without a limit
		b.Superseded = true
	case Retry:
		if set.retries(job.Name) < job.Attempts {
			b.Superseded = true
		} else {
			b.Result = RetryLimit
		}
	case Failure:
		if job.Voting && set.retriesFailed(job) {
			b.Superseded = true
		}
	default:
	}
	t.failFast(i)
}

// retries counts the tries of a job that asked for another.
func (b *Buildset) retries(job string) int {
	n := 0
	for _, x := range b.Builds {
		if x.Job == job && x.Result == Retry {
			n++
		}
	}
	return n
}

// failFast cancels the other builds of an item that fails (A6.5).
func (t *turn) failFast(i *Item) {
	b := i.Buildset
	if !b.FailFast || !b.failing() {
		return
	}
	var ids []string
	for n := range b.Builds {
		if x := &b.Builds[n]; x.Result == "" && !x.Failing {
			x.Result = Canceled
			ids = append(ids, x.ID)
		}
	}
	if len(ids) > 0 {
		t.emit(Cancel{Builds: ids})
	}
	for _, j := range b.Jobs {
		if last := b.Last(j.Name); last == nil || last.Superseded {
			b.Builds = append(b.Builds, Build{ID: t.nextUUID(), Job: j.Name, Try: 1, Result: Canceled})
		}
	}
}
