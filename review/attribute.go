package review

import (
	"strconv"
	"time"
)

// The JSON of "gerrit stream-events" and "gerrit query":
// https://gerrit-review.googlesource.com/Documentation/json.html

// AccountAttribute is an account, or an author that has none.
type AccountAttribute struct {
	Name     string `json:"name,omitempty"`
	Email    string `json:"email,omitempty"`
	Username string `json:"username,omitempty"`
}

// ChangeAttribute is a change. What is below the blank line is only there if
// asked for.
type ChangeAttribute struct {
	Project       string            `json:"project"`
	Branch        string            `json:"branch"`
	Topic         string            `json:"topic,omitempty"`
	Hashtags      []string          `json:"hashtags,omitempty"`
	ID            string            `json:"id"`
	Number        int64             `json:"number"`
	Subject       string            `json:"subject"`
	Owner         *AccountAttribute `json:"owner"`
	URL           string            `json:"url"`
	CommitMessage string            `json:"commitMessage,omitempty"`
	CreatedOn     int64             `json:"createdOn"` // seconds since 1970
	LastUpdated   int64             `json:"lastUpdated,omitempty"`
	Open          *bool             `json:"open,omitempty"`
	Status        Status            `json:"status"`
	WIP           bool              `json:"wip,omitempty"`
	Private       bool              `json:"private,omitempty"`

	Parents         []string                `json:"parents,omitempty"`
	CurrentPatchSet *PatchSetAttribute      `json:"currentPatchSet,omitempty"`
	PatchSets       []PatchSetAttribute     `json:"patchSets,omitempty"`
	Comments        []MessageAttribute      `json:"comments,omitempty"`
	AllReviewers    []AccountAttribute      `json:"allReviewers,omitempty"`
	DependsOn       []DependencyAttribute   `json:"dependsOn,omitempty"`
	NeededBy        []DependencyAttribute   `json:"neededBy,omitempty"`
	SubmitRecords   []SubmitRecordAttribute `json:"submitRecords,omitempty"`
}

// PatchSetAttribute is a patch set.
type PatchSetAttribute struct {
	Number         int                        `json:"number"`
	Revision       string                     `json:"revision"`
	Parents        []string                   `json:"parents"`
	Ref            string                     `json:"ref"`
	Uploader       *AccountAttribute          `json:"uploader"`
	CreatedOn      int64                      `json:"createdOn"`
	Author         *AccountAttribute          `json:"author"`
	Kind           Kind                       `json:"kind"`
	Approvals      []ApprovalAttribute        `json:"approvals,omitempty"`
	Comments       []PatchSetCommentAttribute `json:"comments,omitempty"`
	Files          []FileAttribute            `json:"files,omitempty"`
	SizeInsertions int                        `json:"sizeInsertions"`
	SizeDeletions  int                        `json:"sizeDeletions"` // negative or 0
}

// ApprovalAttribute is a vote. Values are decimal numbers as text.
type ApprovalAttribute struct {
	Type        string            `json:"type"`
	Description string            `json:"description"`
	Value       string            `json:"value"`
	OldValue    string            `json:"oldValue,omitempty"`
	GrantedOn   int64             `json:"grantedOn,omitempty"`
	By          *AccountAttribute `json:"by,omitempty"`
}

// MessageAttribute is an entry of the change's history.
type MessageAttribute struct {
	Timestamp int64             `json:"timestamp"`
	Reviewer  *AccountAttribute `json:"reviewer"`
	Message   string            `json:"message"`
}

// PatchSetCommentAttribute is a comment on a file.
type PatchSetCommentAttribute struct {
	File     string            `json:"file"`
	Line     int               `json:"line,omitempty"`
	Reviewer *AccountAttribute `json:"reviewer"`
	Message  string            `json:"message"`
}

// FileAttribute is a changed file.
type FileAttribute struct {
	File       string `json:"file"`
	FileOld    string `json:"fileOld,omitempty"`
	Type       string `json:"type"` // ADDED MODIFIED DELETED RENAMED COPIED REWRITE
	Insertions int    `json:"insertions"`
	Deletions  int    `json:"deletions"` // negative or 0
}

// DependencyAttribute is the change that a change's commit stands on, or one
// that stands on it.
type DependencyAttribute struct {
	ID                string `json:"id"`
	Number            int64  `json:"number"`
	Revision          string `json:"revision"`
	Ref               string `json:"ref"`
	IsCurrentPatchSet bool   `json:"isCurrentPatchSet"`
}

// SubmitRecordAttribute says whether a change can be submitted.
type SubmitRecordAttribute struct {
	Status string                 `json:"status"` // OK NOT_READY CLOSED
	Labels []SubmitLabelAttribute `json:"labels,omitempty"`
}

// SubmitLabelAttribute says what a label contributes to it.
type SubmitLabelAttribute struct {
	Label  string            `json:"label"`
	Status string            `json:"status"` // OK REJECT NEED MAY
	By     *AccountAttribute `json:"by,omitempty"`
}

// RefUpdateAttribute is a moved ref; 40 zeros stand for its absence.
type RefUpdateAttribute struct {
	OldRev  string `json:"oldRev"`
	NewRev  string `json:"newRev"`
	RefName string `json:"refName"`
	Project string `json:"project"`
}

// Attribute is the account as queries and events show it.
func (a *Account) Attribute() *AccountAttribute {
	if a == nil {
		return nil
	}
	return &AccountAttribute{Name: a.FullName, Email: a.Email, Username: a.Username}
}

// ChangeAttribute is what queries show of a change without further flags.
func (s *Service) ChangeAttribute(c *Change) *ChangeAttribute {
	open := c.Open()
	return &ChangeAttribute{
		Project: c.Project, Branch: c.Branch, Topic: c.Topic, Hashtags: c.Hashtags, ID: c.ID, Number: c.Number,
		Subject: c.Subject, Owner: c.Owner.Attribute(), URL: s.ChangeURL(c.Project, c.Number),
		CreatedOn: c.Created.Unix(), LastUpdated: c.Updated.Unix(), Open: &open, Status: c.Status, WIP: c.WIP, Private: c.Private,
	}
}

// Attribute is the patch set without approvals, comments and files.
func (p *PatchSet) Attribute() *PatchSetAttribute {
	return &PatchSetAttribute{
		Number: p.Number, Revision: p.Revision, Parents: p.Parents, Ref: p.Ref(), Uploader: p.Uploader.Attribute(),
		CreatedOn: p.Created.Unix(), Author: &AccountAttribute{Name: p.Author.Name, Email: p.Author.Email}, Kind: p.Kind,
		SizeInsertions: p.Insertions, SizeDeletions: -p.Deletions,
	}
}

// Attribute is the vote as queries show it.
func (v *Vote) Attribute() ApprovalAttribute {
	return ApprovalAttribute{Type: v.Label, Description: v.Label, Value: strconv.Itoa(v.Value),
		GrantedOn: v.Granted.Unix(), By: v.Account.Attribute()}
}

var fileTypes = map[string]string{"A": "ADDED", "M": "MODIFIED", "D": "DELETED", "R": "RENAMED", "C": "COPIED", "T": "REWRITE"}

// Attribute is the file as queries show it.
func (f *File) Attribute() FileAttribute {
	return FileAttribute{File: f.Path, FileOld: f.OldPath, Type: fileTypes[f.Status], Insertions: f.Insertions, Deletions: -f.Deletions}
}

// changeKey is how events name a change's Change-Id.
type changeKey struct {
	Key string `json:"key"`
}

// announcement is the JSON of an event: each type has its own few of these.
type announcement struct {
	Type      string                     `json:"type"`
	Uploader  *AccountAttribute          `json:"uploader,omitempty"`
	Author    *AccountAttribute          `json:"author,omitempty"`
	Submitter *AccountAttribute          `json:"submitter,omitempty"`
	Abandoner *AccountAttribute          `json:"abandoner,omitempty"`
	Restorer  *AccountAttribute          `json:"restorer,omitempty"`
	Changer   *AccountAttribute          `json:"changer,omitempty"`
	Editor    *AccountAttribute          `json:"editor,omitempty"`
	Reviewer  *AccountAttribute          `json:"reviewer,omitempty"`
	Adder     *AccountAttribute          `json:"adder,omitempty"`
	Remover   *AccountAttribute          `json:"remover,omitempty"`
	Approvals []ApprovalAttribute        `json:"approvals,omitempty"`
	Comment   string                     `json:"comment,omitempty"`
	Comments  map[string][]commentOfPath `json:"patchSetComments,omitempty"`
	Reason    string                     `json:"reason,omitempty"`
	NewRev    string                     `json:"newRev,omitempty"`
	OldTopic  *string                    `json:"oldTopic,omitempty"`
	Added     []string                   `json:"added,omitempty"`
	Removed   []string                   `json:"removed,omitempty"`
	Hashtags  []string                   `json:"hashtags,omitempty"`
	RefUpdate *RefUpdateAttribute        `json:"refUpdate,omitempty"`
	Name      string                     `json:"projectName,omitempty"`
	HeadName  string                     `json:"headName,omitempty"`
	OldHead   string                     `json:"oldHead,omitempty"`
	NewHead   string                     `json:"newHead,omitempty"`
	PatchSet  *PatchSetAttribute         `json:"patchSet,omitempty"`
	Change    *ChangeAttribute           `json:"change,omitempty"`
	Project   string                     `json:"project,omitempty"`
	RefName   string                     `json:"refName,omitempty"`
	ChangeKey *changeKey                 `json:"changeKey,omitempty"`
	CreatedOn int64                      `json:"eventCreatedOn"`
}

// commentOfPath is a comment within an event; its path is its key.
type commentOfPath struct {
	Message    string            `json:"message"`
	Line       int               `json:"line,omitempty"`
	Unresolved bool              `json:"unresolved,omitempty"`
	Author     *AccountAttribute `json:"author,omitempty"`
	Updated    time.Time         `json:"updated"`
}
