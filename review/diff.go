package review

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/core/fault"
	"github.com/gatehouse-dev/gatehouse/review/git"
)

// wholeFile is a number of lines of context that no file of MaxDiff has.
const wholeFile = MaxDiff

// Diff compares one file of a patch set with a base. A file that does not
// differ is fault.NotFound.
func (s *Service) Diff(ctx context.Context, project string, p *PatchSet, base Base, path string, o DiffOptions) (*Diff, error) {
	if path == PathCommitMessage {
		return s.messageDiff(ctx, project, p, base)
	}
	from, err := s.baseCommit(ctx, p, base)
	if err != nil {
		return nil, err
	}
	files, err := s.Files(ctx, project, p, base)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if f.Path == path {
			return s.fileDiff(ctx, project, from, p.Revision, f, o)
		}
	}
	return nil, fault.New(fault.NotFound, "Not found: %s", path)
}

func (s *Service) fileDiff(ctx context.Context, project, from, to string, f File, o DiffOptions) (*Diff, error) {
	options := git.DiffOptions{Context: o.Context, IgnoreWhitespace: o.IgnoreWhitespace, Limit: MaxDiff}
	if o.Context == 0 {
		options.Context = wholeFile
	}
	patch, cut, err := s.repos.Repo(project).Diff(ctx, from, to, f.OldPath, f.Path, options)
	if err != nil {
		return nil, err
	}
	d := parseDiff(string(patch), f)
	if cut {
		d.TooLarge, d.Chunks = true, nil
	}
	return d, nil
}

var (
	hunkForm = regexp.MustCompile(`^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@`)
	modeForm = regexp.MustCompile(`^(old mode|new (?:file )?mode|deleted file mode|index [0-9a-f]+\.\.[0-9a-f]+) ?(\d{6})?$`)
)

// parseDiff reads git's patch of one file.
func parseDiff(patch string, f File) *Diff {
	d := &Diff{Status: f.Status, Binary: f.Binary}
	if f.Status != "A" {
		d.Old = &DiffSide{Path: f.Path, Mode: "100644"}
		if f.OldPath != "" {
			d.Old.Path = f.OldPath
		}
	}
	if f.Status != "D" {
		d.New = &DiffSide{Path: f.Path, Mode: "100644"}
	}
	header, hunks, found := strings.Cut("\n"+patch, "\n@@ ")
	for line := range strings.Lines(strings.TrimPrefix(header, "\n")) {
		line = strings.TrimSuffix(line, "\n")
		d.Header = append(d.Header, line)
		d.readMode(line)
	}
	if found {
		d.readHunks("@@ " + hunks)
	}
	return d
}

func (d *Diff) readMode(line string) {
	match := modeForm.FindStringSubmatch(line)
	if match == nil || match[2] == "" {
		return
	}
	if d.Old != nil && !strings.HasPrefix(match[1], "new") {
		d.Old.Mode = match[2]
	}
	if d.New != nil && !strings.HasPrefix(match[1], "old") {
		d.New.Mode = match[2]
	}
}

// readHunks turns hunks into chunks; the lines between them become skips.
func (d *Diff) readHunks(text string) {
	oldLine, newLine := 1, 1 // the next lines to come
	var last byte
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		switch line[0] {
		case '@':
			var oldStart, oldCount int
			match := hunkForm.FindStringSubmatch(line)
			if match == nil {
				continue
			}
			oldStart, oldCount = number(match[1]), number(match[2])
			if match[2] != "" && oldCount == 0 {
				oldStart++ // an empty range names the line before it
			}
			if skip := oldStart - oldLine; skip > 0 {
				d.Chunks = append(d.Chunks, Chunk{Skip: skip})
				oldLine += skip
				newLine += skip
			}
		case ' ':
			d.common(line[1:])
			oldLine++
			newLine++
		case '-':
			chunk := d.changed(last == '+')
			chunk.A = append(chunk.A, line[1:])
			oldLine++
		case '+':
			chunk := d.changed(false)
			chunk.B = append(chunk.B, line[1:])
			newLine++
		case '\\':
			d.NoNewline[0] = d.NoNewline[0] || last != '+'
			d.NoNewline[1] = d.NoNewline[1] || last != '-'
			continue
		}
		last = line[0]
	}
	if d.Old != nil {
		d.Old.Lines = oldLine - 1
	}
	if d.New != nil {
		d.New.Lines = newLine - 1
	}
}

func (d *Diff) common(line string) {
	if n := len(d.Chunks); n == 0 || d.Chunks[n-1].AB == nil {
		d.Chunks = append(d.Chunks, Chunk{})
	}
	last := &d.Chunks[len(d.Chunks)-1]
	last.AB = append(last.AB, line)
}

// changed is the chunk that a differing line belongs to: the last one, unless
// that is common or a new one is wanted.
func (d *Diff) changed(fresh bool) *Chunk {
	n := len(d.Chunks)
	if fresh || n == 0 || d.Chunks[n-1].AB != nil || d.Chunks[n-1].Skip > 0 {
		d.Chunks = append(d.Chunks, Chunk{})
		n++
	}
	return &d.Chunks[n-1]
}

// messageFile is what /COMMIT_MSG shows: parents, people, dates and message.
func (s *Service) messageFile(ctx context.Context, project string, p *PatchSet, base Base, old bool) (string, error) {
	if old {
		if base.PatchSet == 0 {
			return "", nil
		}
		sets, err := selectPatchSets(ctx, s.db, `WHERE p.change = $1 AND p.number = $2`, p.Change, base.PatchSet)
		if err != nil || len(sets) == 0 {
			return "", err
		}
		p = &sets[0]
	}
	parents, err := s.repos.Repo(project).Commits(ctx, p.Parents...)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, c := range parents {
		label := "Parent:    "
		if len(parents) > 1 {
			label = "Merge Of:  "
		}
		fmt.Fprintf(&b, "%s %s (%s)\n", label, c.Hash[:8], c.Subject())
	}
	const form = "2006-01-02 15:04:05 -0700"
	person := func(what string, i Ident, when time.Time) {
		fmt.Fprintf(&b, "%-12s%s <%s>\n%-12s%s\n", what+":", i.Name, i.Email, what+"Date:", when.Format(form))
	}
	person("Author", p.Author, p.Author.When)
	person("Commit", p.Committer, p.Committer.When)
	b.WriteString("\n" + p.Message)
	return b.String(), nil
}

func (s *Service) messageDiff(ctx context.Context, project string, p *PatchSet, base Base) (*Diff, error) {
	before, err := s.messageFile(ctx, project, p, base, true)
	if err != nil {
		return nil, err
	}
	after, err := s.messageFile(ctx, project, p, base, false)
	if err != nil {
		return nil, err
	}
	d := &Diff{Status: "A", New: &DiffSide{Path: PathCommitMessage, Mode: "100644"}}
	if before != "" {
		d.Status, d.Old = "M", &DiffSide{Path: PathCommitMessage, Mode: "100644"}
	}
	d.Chunks = diffLines(textLines(before), textLines(after))
	if d.Old != nil {
		d.Old.Lines = len(textLines(before))
	}
	d.New.Lines = len(textLines(after))
	return d, nil
}

func textLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
