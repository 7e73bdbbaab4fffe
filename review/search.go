package review

// Query selects changes. review/query makes one of Gerrit's search language.
type Query struct {
	// Where is an SQL condition over "changes c", with a ? for each of Args;
	// other tables by subquery. "" selects all.
	Where string
	Args  []any
	Start int // skips that many
	Limit int // at most so many; 0 or too many: MaxLimit
}

// MaxLimit bounds the changes of one search.
const MaxLimit = 500
