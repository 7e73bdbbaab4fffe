package rest

import (
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review"
)

func (s *Server) fileRoutes() {
	s.onRevision("GET /changes/{id}/revisions/{rev}/files", s.listFiles)
	s.onRevision("GET /changes/{id}/revisions/{rev}/files/{file}/content", s.getContent)
	s.onRevision("GET /changes/{id}/revisions/{rev}/files/{file}/diff", s.getDiff)
}

// base reads what a patch set is compared with: another (base=N), its N-th
// parent (parent=N), or its first parent.
func (s *Server) base(c *call, r revision) (review.Base, error) {
	query := c.r.URL.Query()
	if parent := query.Get("parent"); parent != "" {
		n, err := strconv.Atoi(parent)
		if err != nil || n < 1 || n > max(len(r.patchSet.Parents), 1) {
			return review.Base{}, fault.New(fault.BadRequest, "invalid parent number: %s", parent)
		}
		return review.Base{Parent: n}, nil
	}
	base := query.Get("base")
	if base == "" || base == "0" {
		return review.Base{}, nil
	}
	other, err := s.service.PatchSet(c.ctx(), c.caller, r.change.Number, base)
	if err != nil {
		return review.Base{}, err
	}
	return review.Base{PatchSet: other.Number}, nil
}

func (s *Server) listFiles(c *call, r revision) (any, error) {
	if c.has("reviewed") {
		return []string{}, nil // nobody's are kept
	}
	base, err := s.base(c, r)
	if err != nil {
		return nil, err
	}
	list, err := s.service.Files(c.ctx(), r.change.Project, r.patchSet, base)
	if err != nil {
		return nil, err
	}
	infos := files(list)
	infos[review.PathCommitMessage] = fileInfo{Status: "A", Insertions: strings.Count(r.patchSet.Message, "\n") + 1}
	return infos, nil
}

func (s *Server) getContent(c *call, r revision) (any, error) {
	base, err := s.base(c, r)
	if err != nil {
		return nil, err
	}
	old := c.r.URL.Query().Get("parent") != ""
	bytes, _, err := s.service.Content(c.ctx(), r.change.Project, r.patchSet, base, old, c.arg("file"))
	if err != nil {
		return nil, err
	}
	return encoded{bytes}, nil
}

// diffInfo is Gerrit's DiffInfo.
type diffInfo struct {
	MetaA      *diffSide   `json:"meta_a,omitempty"`
	MetaB      *diffSide   `json:"meta_b,omitempty"`
	ChangeType string      `json:"change_type"`
	Header     []string    `json:"diff_header,omitempty"`
	Content    []diffChunk `json:"content"`
	Binary     bool        `json:"binary,omitempty"`
}

type diffSide struct {
	Name        string `json:"name"`
	ContentType string `json:"content_type"`
	Lines       int    `json:"lines"`
}

type diffChunk struct {
	AB   []string `json:"ab,omitempty"`
	A    []string `json:"a,omitempty"`
	B    []string `json:"b,omitempty"`
	Skip int      `json:"skip,omitempty"`
}

var changeTypes = map[string]string{
	"A": "ADDED", "M": "MODIFIED", "D": "DELETED", "R": "RENAMED", "C": "COPIED", "T": "REWRITE",
}

func (s *Server) getDiff(c *call, r revision) (any, error) {
	base, err := s.base(c, r)
	if err != nil {
		return nil, err
	}
	diffOptions, err := c.diffOptions()
	if err != nil {
		return nil, err
	}
	diff, err := s.service.Diff(c.ctx(), r.change.Project, r.patchSet, base, c.arg("file"), diffOptions)
	if err != nil {
		return nil, err
	}
	info := diffInfo{
		MetaA: side(diff.Old, diff.Binary), MetaB: side(diff.New, diff.Binary),
		ChangeType: changeTypes[diff.Status], Header: diff.Header, Binary: diff.Binary,
		Content: make([]diffChunk, len(diff.Chunks)),
	}
	for i, chunk := range diff.Chunks {
		info.Content[i] = diffChunk{AB: chunk.AB, A: chunk.A, B: chunk.B, Skip: chunk.Skip}
	}
	return info, nil
}

func (c *call) diffOptions() (review.DiffOptions, error) {
	var o review.DiffOptions
	switch context := c.r.URL.Query().Get("context"); context {
	case "", "ALL":
	default:
		n, err := strconv.Atoi(context)
		if err != nil || n < 1 {
			return o, fault.New(fault.BadRequest, `"%s" is not a valid value for "--context"`, context)
		}
		o.Context = n
	}
	switch whitespace := c.r.URL.Query().Get("whitespace"); whitespace {
	case "", "IGNORE_NONE":
	case "IGNORE_TRAILING", "IGNORE_LEADING_AND_TRAILING", "IGNORE_ALL":
		o.IgnoreWhitespace = true
	default:
		return o, fault.New(fault.BadRequest, `"%s" is not a valid value for "--whitespace"`, whitespace)
	}
	return o, nil
}

func side(d *review.DiffSide, binary bool) *diffSide {
	if d == nil {
		return nil
	}
	mediaType := "text/plain"
	if binary {
		mediaType = "application/octet-stream"
	}
	return &diffSide{Name: d.Path, ContentType: mediaType, Lines: d.Lines}
}
