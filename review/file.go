package review

// File is a file that a patch set changes.
type File struct {
	Path       string
	OldPath    string // of a rename or copy, else ""
	Status     string // A M D R C T, as git says
	Insertions int    // lines; 0 for a binary file
	Deletions  int
	Binary     bool
}

// DiffSide is one version of a file in a Diff.
type DiffSide struct {
	Path  string
	Lines int
	Mode  string // git's, e.g. "100644"
}

// Chunk is a run of lines that both versions have (AB), or that differ: only
// in the old one (A), only in the new one (B). Skip counts common lines left
// out instead.
type Chunk struct {
	A, B, AB []string // without line ends
	Skip     int
}

// Diff is what became of a file.
type Diff struct {
	Old, New  *DiffSide // nil where the file is absent
	Status    string    // A M D R C T
	Binary    bool      // then there are no chunks
	TooLarge  bool      // more than MaxDiff; then there are no chunks
	Header    []string  // git's own lines before the first hunk
	Chunks    []Chunk
	NoNewline [2]bool // the old, the new version lacks the newline at its end
}

// MaxDiff bounds the text of one file's diff, in bytes.
const MaxDiff = 4 << 20

// DiffOptions says how a Diff is made. The zero value ignores no whitespace
// and has the whole file as context.
type DiffOptions struct {
	Context          int // lines around a change; 0: the whole file
	IgnoreWhitespace bool
}
