package rest

import (
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/review"
)

// revisionInfo is Gerrit's RevisionInfo.
type revisionInfo struct {
	Kind        review.Kind           `json:"kind"`
	Number      int                   `json:"_number"`
	Created     timestamp             `json:"created"`
	Uploader    accountInfo           `json:"uploader"`
	Ref         string                `json:"ref"`
	Fetch       map[string]fetchInfo  `json:"fetch"`
	Branch      string                `json:"branch"`
	Commit      *commitInfo           `json:"commit,omitempty"`
	Files       map[string]fileInfo   `json:"files,omitempty"`
	Actions     map[string]actionInfo `json:"actions,omitempty"`
	Description string                `json:"description,omitempty"`
}

// fetchInfo says from where and how a revision is fetched.
type fetchInfo struct {
	URL      string            `json:"url"`
	Ref      string            `json:"ref"`
	Commands map[string]string `json:"commands,omitempty"`
}

type commitInfo struct {
	Commit    string       `json:"commit,omitempty"`
	Parents   []commitInfo `json:"parents,omitempty"`
	Author    *personInfo  `json:"author,omitempty"`
	Committer *personInfo  `json:"committer,omitempty"`
	Subject   string       `json:"subject,omitempty"`
	Message   string       `json:"message,omitempty"`
}

type personInfo struct {
	Name  string    `json:"name"`
	Email string    `json:"email"`
	Date  timestamp `json:"date"`
	Zone  int       `json:"tz"` // minutes east of UTC
}

// fileInfo is Gerrit's FileInfo. A modified file has no status.
type fileInfo struct {
	Status     string `json:"status,omitempty"`
	Binary     bool   `json:"binary,omitempty"`
	OldPath    string `json:"old_path,omitempty"`
	Insertions int    `json:"lines_inserted,omitempty"`
	Deletions  int    `json:"lines_deleted,omitempty"`
	SizeDelta  int    `json:"size_delta"`
	Size       int    `json:"size"`
}

// describeRevisions adds the patch sets that are asked for.
func (s *Server) describeRevisions(c *call, info *changeInfo, d *review.Detail, o options) error {
	if !o.any("CURRENT_REVISION", "ALL_REVISIONS") {
		return nil
	}
	info.Revisions = map[string]*revisionInfo{}
	for i := range d.PatchSets {
		ps := &d.PatchSets[i]
		current := ps.Number == d.PatchSet
		if current {
			info.CurrentRevision = ps.Revision
		}
		if !current && !o["ALL_REVISIONS"] {
			continue
		}
		revision := s.revision(c, &d.Change, ps, o)
		if o["ALL_FILES"] || current && o["CURRENT_FILES"] {
			revision.Files = files(d.Files[ps.Number])
		}
		if current && o["CURRENT_ACTIONS"] {
			actions, err := s.service.Actions(c.ctx(), c.caller, &d.Change)
			if err != nil {
				return err
			}
			revision.Actions = revisionActions(actions)
		}
		info.Revisions[ps.Revision] = revision
	}
	return nil
}

func (s *Server) revision(c *call, change *review.Change, ps *review.PatchSet, o options) *revisionInfo {
	info := &revisionInfo{
		Kind: ps.Kind, Number: ps.Number, Created: timestamp(ps.Created), Uploader: account(ps.Uploader, o["DETAILED_ACCOUNTS"]),
		Ref: ps.Ref(), Fetch: s.fetch(c, change.Project, ps.Ref(), o["DOWNLOAD_COMMANDS"]),
		Branch: "refs/heads/" + change.Branch, Description: ps.Description,
	}
	current := ps.Number == change.PatchSet
	if o["ALL_COMMITS"] || current && o["CURRENT_COMMIT"] {
		info.Commit = commit(ps)
	}
	return info
}

// fetch names the doors by which a ref is fetched. git-review takes the first
// by name, gertty and Zuul the one they know.
func (s *Server) fetch(c *call, project, ref string, commands bool) map[string]fetchInfo {
	out := map[string]fetchInfo{"anonymous http": {URL: s.service.URL() + "/" + project, Ref: ref}}
	if c.caller != nil {
		out["http"] = fetchInfo{URL: s.service.URL() + "/a/" + project, Ref: ref}
		out["ssh"] = fetchInfo{URL: "ssh://" + c.caller.Username + "@" + s.service.SSH() + "/" + project, Ref: ref}
	}
	if !commands {
		return out
	}
	for door, info := range out {
		fetch := "git fetch " + info.URL + " " + ref
		info.Commands = map[string]string{
			"Branch":      fetch + " && git checkout -b change-" + strings.ReplaceAll(strings.TrimPrefix(ref, "refs/changes/"), "/", "-") + " FETCH_HEAD",
			"Checkout":    fetch + " && git checkout FETCH_HEAD",
			"Cherry Pick": fetch + " && git cherry-pick FETCH_HEAD",
			"Pull":        "git pull " + info.URL + " " + ref,
		}
		out[door] = info
	}
	return out
}

func commit(ps *review.PatchSet) *commitInfo {
	info := &commitInfo{
		Commit: ps.Revision, Author: person(ps.Author), Committer: person(ps.Committer),
		Subject: subject(ps.Message), Message: ps.Message,
	}
	for _, parent := range ps.Parents {
		info.Parents = append(info.Parents, commitInfo{Commit: parent})
	}
	return info
}

func subject(message string) string {
	first, _, _ := strings.Cut(strings.TrimLeft(message, "\n"), "\n")
	return first
}

func person(ident review.Ident) *personInfo {
	_, offset := ident.When.Zone()
	return &personInfo{Name: ident.Name, Email: ident.Email, Date: timestamp(ident.When), Zone: offset / int(time.Minute/time.Second)}
}

// files describes files by path.
func files(list []review.File) map[string]fileInfo {
	out := map[string]fileInfo{}
	for _, f := range list {
		info := fileInfo{
			Status: f.Status, Binary: f.Binary, OldPath: f.OldPath, Insertions: f.Insertions, Deletions: f.Deletions,
		}
		if f.Status == "M" || f.Status == "T" {
			info.Status = ""
		}
		out[f.Path] = info
	}
	return out
}
