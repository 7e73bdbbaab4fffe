package review

import (
	"context"
	"slices"
)

// Related is a patch set of a relation chain.
type Related struct {
	Change   Change
	PatchSet PatchSet
}

// maxRelated bounds a relation chain.
const maxRelated = 200

// Related lists the relation chain of a patch set: those whose commits stand
// on it first, then itself, then those it stands on. It is empty if the patch
// set stands alone.
func (s *Service) Related(ctx context.Context, caller *Account, c *Change, p *PatchSet) ([]Related, error) {
	seen := map[int64]bool{c.Number: true}
	above, err := s.follow(ctx, caller, c, p, seen, s.children)
	if err != nil {
		return nil, err
	}
	below, err := s.follow(ctx, caller, c, p, seen, s.parents)
	if err != nil {
		return nil, err
	}
	if len(above)+len(below) == 0 {
		return nil, nil
	}
	var chain []Related
	for _, r := range slices.Backward(above) {
		chain = append(chain, r)
	}
	return append(append(chain, Related{*c, *p}), below...), nil
}

// follow walks from a patch set, the nearest first, each change once.
func (s *Service) follow(ctx context.Context, caller *Account, c *Change, p *PatchSet, seen map[int64]bool,
	step func(context.Context, *Account, string, *PatchSet) ([]Related, error)) ([]Related, error) {
	var found []Related
	queue := []PatchSet{*p}
	for len(queue) > 0 && len(found) < maxRelated {
		next, err := step(ctx, caller, c.Project, &queue[0])
		if err != nil {
			return nil, err
		}
		queue = queue[1:]
		for _, r := range next {
			if !seen[r.Change.Number] {
				seen[r.Change.Number] = true
				found = append(found, r)
				queue = append(queue, r.PatchSet)
			}
		}
	}
	return found, nil
}

// children are the patch sets whose commits have p's as a parent; of a change
// that has several, the newest.
func (s *Service) children(ctx context.Context, caller *Account, project string, p *PatchSet) ([]Related, error) {
	return s.neighbours(ctx, caller, `JOIN changes c ON c.number = p.change
		JOIN patch_set_parents x ON x.change = p.change AND x.patch_set = p.number
		WHERE x.parent = $1 AND c.project = $2 AND c.status <> 'ABANDONED' ORDER BY p.number DESC`, p.Revision, project)
}

// parents are the patch sets whose commits are p's parents, of changes that
// are not merged.
func (s *Service) parents(ctx context.Context, caller *Account, project string, p *PatchSet) ([]Related, error) {
	var all []Related
	for _, parent := range p.Parents {
		found, err := s.neighbours(ctx, caller, `JOIN changes c ON c.number = p.change
			WHERE p.revision = $1 AND c.project = $2 AND c.status <> 'MERGED' ORDER BY p.number DESC`, parent, project)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (s *Service) neighbours(ctx context.Context, caller *Account, rest string, args ...any) ([]Related, error) {
	sets, err := selectPatchSets(ctx, s.db, rest, args...)
	if err != nil || len(sets) == 0 {
		return nil, err
	}
	var numbers []int64
	for _, p := range sets {
		numbers = append(numbers, p.Change)
	}
	condition, ids := inList("c.number", numbers)
	ids = append(ids, caller.id())
	changes, err := selectChanges(ctx, s.db, "WHERE "+condition+" AND "+visibleCondition(placeholder(len(ids)), caller.admin()), ids...)
	if err != nil {
		return nil, err
	}
	byNumber := map[int64]Change{}
	for _, c := range changes {
		byNumber[c.Number] = c
	}
	var related []Related
	for _, p := range sets {
		if c, ok := byNumber[p.Change]; ok {
			related = append(related, Related{c, p})
		}
	}
	return related, nil
}

// Dependencies are the patch sets that a change's current one stands on, and
// those that stand on it.
func (s *Service) Dependencies(ctx context.Context, caller *Account, c *Change) (dependsOn, neededBy []Related, err error) {
	p, err := currentPatchSet(ctx, s.db, c)
	if err != nil {
		return nil, nil, err
	}
	if dependsOn, err = s.parents(ctx, caller, c.Project, p); err != nil {
		return nil, nil, err
	}
	neededBy, err = s.children(ctx, caller, c.Project, p)
	return dependsOn, neededBy, err
}
