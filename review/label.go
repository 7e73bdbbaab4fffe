package review

// LabelValue is one value of a label and what it means.
type LabelValue struct {
	Value int
	Text  string
}

// Label is something to vote on.
type Label struct {
	Name   string
	Values []LabelValue // ascending, 0 among them
	// CopyKinds are the kinds of patch set that keep the votes on the one before.
	CopyKinds []Kind
	CopyMin   bool // the lowest value is always kept
}

// Min is the label's lowest value: a veto.
func (l *Label) Min() int { return l.Values[0].Value }

// Max is the label's highest value: approval.
func (l *Label) Max() int { return l.Values[len(l.Values)-1].Value }

// Text is what a value means, or "" if the label has no such value.
func (l *Label) Text(value int) string {
	for _, v := range l.Values {
		if v.Value == value {
			return v.Text
		}
	}
	return ""
}

// Has reports whether the label has the value.
func (l *Label) Has(value int) bool { return value >= l.Min() && value <= l.Max() }

// The labels of every project.
const (
	CodeReview = "Code-Review"
	Verified   = "Verified"
	Workflow   = "Workflow"
)

// labels are OpenStack's.
var labels = []Label{
	{
		Name: CodeReview,
		Values: []LabelValue{
			{-2, "This shall not be submitted"},
			{-1, "I would prefer this is not submitted as is"},
			{0, "No score"},
			{1, "Looks good to me, but someone else must approve"},
			{2, "Looks good to me, approved"},
		},
		CopyKinds: []Kind{NoChange, TrivialRebase},
		CopyMin:   true,
	},
	{
		Name: Verified,
		Values: []LabelValue{
			{-2, "Gate failed"},
			{-1, "Check failed"},
			{0, "No score"},
			{1, "Check passed"},
			{2, "Gate passed"},
		},
		CopyKinds: []Kind{NoChange},
	},
	{
		Name: Workflow,
		Values: []LabelValue{
			{-1, "Work in progress"},
			{0, "Ready for reviews"},
			{1, "Approved"},
		},
		CopyKinds: []Kind{NoChange},
	},
}

// RequirementStatus says whether a submit requirement is met.
type RequirementStatus string

// The statuses.
const (
	Satisfied     RequirementStatus = "SATISFIED"
	Unsatisfied   RequirementStatus = "UNSATISFIED"
	NotApplicable RequirementStatus = "NOT_APPLICABLE"
)

// Requirement is a submit requirement as it stands for one change.
type Requirement struct {
	Name        string
	Description string
	Label       string // the label it is about
	Submittable string // the expression, in the search language
	Status      RequirementStatus
	Vetoed      bool   // somebody gave the label's lowest value
	Reason      string // one sentence for people, e.g. "needs Code-Review +2"; "" if satisfied
	// Passing and failing atoms of the expression, e.g. "label:Code-Review=MAX".
	Passing, Failing []string
}
