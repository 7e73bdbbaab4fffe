package queue

// restart asks again for what was under way when the state was stored (A9.6):
// preparations, builds (as new tries), and reports, which must find out
// themselves how far they had come.
func (t *turn) restart() {
	for _, p := range t.definitions {
		state := t.Pipelines[p.Name]
		for _, q := range state.Queues {
			for n, i := range q.Items {
				if i.Outcome != nil {
					t.reportAgain(p, i)
					continue
				}
				t.restartItem(p, q.Items[:n], i)
			}
		}
		for _, i := range state.Leaving {
			t.reportAgain(p, i)
		}
	}
}

func (t *turn) reportAgain(p Pipeline, i *Item) {
	t.emit(Report{
		Pipeline: p.Name, Item: i.ID, Change: i.Change, Buildset: i.Buildset.clone(), Outcome: *i.Outcome,
		Submit: p.Manager == Dependent && i.Outcome.Result == ItemSuccess, Again: true,
	})
}

func (t *turn) restartItem(p Pipeline, ahead []*Item, i *Item) {
	b := i.Buildset
	if b == nil {
		return
	}
	if b.Verdict == "" {
		t.emit(Prepare{Pipeline: p.Name, Item: i.ID, Buildset: b.ID, Ahead: b.changes(ahead), Change: i.Change})
		return
	}
	for n := range b.Builds {
		if x := &b.Builds[n]; x.Result == "" {
			x.Result, x.Superseded = Aborted, true
		}
	}
}

// changes returns the changes of the base, which are all still ahead.
func (b *Buildset) changes(ahead []*Item) []Change {
	var list []Change
	for _, k := range b.Base {
		for _, i := range ahead {
			if i.Change.Key == k {
				list = append(list, i.Change)
			}
		}
	}
	return list
}
