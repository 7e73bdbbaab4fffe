package web

import (
	"html/template"
	"net/url"

	"github.com/gatehouse-dev/gatehouse/review"
)

// fileView is a file's difference, side by side.
type fileView struct {
	review.File

	Anchor    string // the element's id
	URL       string // of the page with all its lines
	Open      bool
	Loaded    bool // the rows are there
	Rows      []row
	TooLarge  bool
	HasOld    bool
	NoNewline [2]bool
	Loose     []placed // on lines that are not shown, or on the whole file
}

// placed is a comment on one of the sides.
type placed struct {
	review.Comment

	Old bool
}

// row is a line of a side-by-side difference.
type row struct {
	Kind       string // same, change, add, del, skip
	OldNo      int    // 0: nothing on that side
	NewNo      int
	Old, New   template.HTML
	Skip       int
	Comments   []placed
	FirstOfRun bool // where n and p stop
}

const (
	// contextLines is how many common lines are shown around a difference.
	contextLines = 5
	// eagerLines bounds the changed lines that are on the page from the start;
	// further files are fetched as they are opened.
	eagerLines = 1500
	eagerFiles = 40
)

// addDiffs adds all files; the first ones with their lines.
func (s *Site) addDiffs(v *visit, b *changeBody) error {
	files, err := s.service.Files(v.ctx(), b.Project, b.Shown, review.Base{PatchSet: b.Base})
	if err != nil {
		return err
	}
	lines := 0
	for i, file := range files {
		b.Insertions += file.Insertions
		b.Deletions += file.Deletions
		lines += file.Insertions + file.Deletions
		view := newFileView(b, file)
		if i < eagerFiles && lines <= eagerLines {
			if view, err = s.fileView(v, b, file.Path, false); err != nil {
				return err
			}
			view.Open = true
		}
		b.Files = append(b.Files, view)
	}
	return nil
}

func newFileView(b *changeBody, file review.File) *fileView {
	return &fileView{
		File: file, Anchor: "file-" + url.PathEscape(file.Path), HasOld: file.Status != "A",
		URL: b.Place.url(b.Base, b.Place.patchSet, file.Path),
	}
}

// fileView reads and lays out one file, with all its lines or only those
// around a difference.
func (s *Site) fileView(v *visit, b *changeBody, path string, all bool) (*fileView, error) {
	diff, err := s.service.Diff(v.ctx(), b.Project, b.Shown, review.Base{PatchSet: b.Base}, path, review.DiffOptions{})
	if err != nil {
		return nil, err
	}
	file := review.File{Path: path, Status: diff.Status, Binary: diff.Binary}
	if diff.Old != nil && diff.Old.Path != path {
		file.OldPath = diff.Old.Path
	}
	for _, chunk := range diff.Chunks {
		file.Deletions += len(chunk.A)
		file.Insertions += len(chunk.B)
	}
	view := newFileView(b, file)
	view.Loaded, view.TooLarge, view.NoNewline = true, diff.TooLarge, diff.NoNewline
	view.Rows = layOut(path, diff)
	view.addComments(b)
	if !all {
		view.Rows = fold(view.Rows)
	}
	return view, nil
}

// layOut puts the chunks side by side.
func layOut(path string, diff *review.Diff) []row {
	var before, after []string
	for _, chunk := range diff.Chunks {
		before = append(append(before, chunk.AB...), chunk.A...)
		after = append(append(after, chunk.AB...), chunk.B...)
	}
	oldPath := path
	if diff.Old != nil {
		oldPath = diff.Old.Path
	}
	oldLines, newLines := highlight(oldPath, before), highlight(path, after)
	var rows []row
	oldNo, newNo := 0, 0
	for _, chunk := range diff.Chunks {
		for range chunk.AB {
			rows = append(rows, row{
				Kind: "same", OldNo: oldNo + 1, NewNo: newNo + 1,
				Old: oldLines[oldNo].html(nil), New: newLines[newNo].html(nil),
			})
			oldNo++
			newNo++
		}
		for i := range max(len(chunk.A), len(chunk.B)) {
			r := row{Kind: "change", FirstOfRun: i == 0}
			var removed, added []span
			if i < len(chunk.A) && i < len(chunk.B) {
				removed, added = within(chunk.A[i], chunk.B[i])
			}
			if i < len(chunk.A) {
				r.OldNo, r.Old = oldNo+i+1, oldLines[oldNo+i].html(removed)
			} else {
				r.Kind = "add"
			}
			if i < len(chunk.B) {
				r.NewNo, r.New = newNo+i+1, newLines[newNo+i].html(added)
			} else {
				r.Kind = "del"
			}
			rows = append(rows, r)
		}
		oldNo += len(chunk.A)
		newNo += len(chunk.B)
	}
	return rows
}

// fold leaves out the common lines that are far from any difference or
// comment.
func fold(rows []row) []row {
	keep := make([]bool, len(rows))
	for i, r := range rows {
		if r.Kind == "same" && len(r.Comments) == 0 {
			continue
		}
		for j := max(i-contextLines, 0); j <= min(i+contextLines, len(rows)-1); j++ {
			keep[j] = true
		}
	}
	var folded []row
	for i, r := range rows {
		last := len(folded) - 1
		switch {
		case keep[i]:
			folded = append(folded, r)
		case last >= 0 && folded[last].Kind == "skip":
			folded[last].Skip++
		default:
			folded = append(folded, row{Kind: "skip", Skip: 1})
		}
	}
	return folded
}

// addComments puts the patch set's comments under their lines.
func (f *fileView) addComments(b *changeBody) {
	for _, comment := range b.Comments {
		old := comment.Side == review.SideParent
		if comment.Path != f.Path || comment.PatchSet != b.Place.patchSet && (old || comment.PatchSet != b.Base || b.Base == 0) {
			continue
		}
		// A comment on the patch set that this one is compared with stands on the old side.
		old = old || comment.PatchSet == b.Base
		if !f.attach(placed{comment, old}) {
			f.Loose = append(f.Loose, placed{comment, old})
		}
	}
}

func (f *fileView) attach(comment placed) bool {
	if comment.Line == 0 {
		return false
	}
	for i := range f.Rows {
		number := f.Rows[i].NewNo
		if comment.Old {
			number = f.Rows[i].OldNo
		}
		if number == comment.Line {
			f.Rows[i].Comments = append(f.Rows[i].Comments, comment)
			return true
		}
	}
	return false
}
