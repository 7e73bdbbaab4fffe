package review

import (
	"fmt"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// The rights of a new Gerrit site (row 27 of the specification), as functions
// of the account: administrators own everything, service users vote Verified
// and submit, whoever is registered may upload and comment.

func (a *Account) admin() bool { return a != nil && a.Admin }

// id is the account's id; 0 for nobody in particular.
func (a *Account) id() int64 {
	if a == nil {
		return 0
	}
	return a.ID
}

// errAnonymous is what nobody in particular hears who asks for more than reading.
func errAnonymous() error { return fault.New(fault.Unauthorized, "Authentication required") }

// registered fails unless somebody is logged in.
func registered(caller *Account) error {
	if caller == nil {
		return errAnonymous()
	}
	return nil
}

// administrator fails unless the caller is one.
func administrator(caller *Account, what string) error {
	if err := registered(caller); err != nil {
		return err
	}
	if !caller.Admin {
		return fault.New(fault.Forbidden, "%s not permitted", what)
	}
	return nil
}

// visibleCondition is the SQL condition on "changes c" for what an account may
// see; account is the placeholder of its id.
func visibleCondition(account string, admin bool) string {
	if admin {
		return "(" + account + " IS NOT NULL)" // everything, and the argument is used
	}
	return fmt.Sprintf(`(c.private = 0 OR c.owner = %[1]s
		OR EXISTS (SELECT 1 FROM reviewers r WHERE r.change = c.number AND r.account = %[1]s))`, account)
}

// mayEdit fails unless the caller is the change's owner or an administrator.
func mayEdit(caller *Account, c *Change, what string) error {
	if err := registered(caller); err != nil {
		return err
	}
	if caller.ID != c.Owner.ID && !caller.Admin {
		return fault.New(fault.Forbidden, "%s not permitted", what)
	}
	return nil
}

// maySubmit fails unless the caller may submit changes.
func maySubmit(caller *Account) error {
	if err := registered(caller); err != nil {
		return err
	}
	if !caller.Admin && !caller.Service {
		return fault.New(fault.Forbidden, "submit not permitted")
	}
	return nil
}

// span of values that an account may give under a label.
func voteRange(caller *Account, label *Label) (lowest, highest int) {
	switch {
	case caller == nil:
		return 0, 0
	case caller.Admin:
		return label.Min(), label.Max()
	}
	switch label.Name {
	case CodeReview:
		return -1, 1
	case Verified:
		if caller.Service {
			return label.Min(), label.Max()
		}
	case Workflow:
		return -1, 0
	}
	return 0, 0
}

// Permitted lists, for each label, the values that the caller may give to the
// change, ascending. Labels without any are left out. A closed change has none.
func (s *Service) Permitted(caller *Account, c *Change) map[string][]int {
	permitted := map[string][]int{}
	if !c.Open() {
		return permitted
	}
	for _, l := range s.Labels(c.Project) {
		lowest, highest := voteRange(caller, &l)
		if lowest == highest {
			continue
		}
		for v := lowest; v <= highest; v++ {
			permitted[l.Name] = append(permitted[l.Name], v)
		}
	}
	return permitted
}

// Labels are the labels of a project, in their order.
func (s *Service) Labels(string) []Label { return labels }
