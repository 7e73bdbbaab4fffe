package rest

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-dev/gatehouse/core/fault"
)

// options says which parts of a change a client asks for (o=…).
type options map[string]bool

// optionNames are all that o= may name, by their bit in the hexadecimal O=
// that Gerrit's own pages send.
var optionNames = []string{
	"LABELS", "CURRENT_REVISION", "ALL_REVISIONS", "CURRENT_COMMIT", "ALL_COMMITS", "CURRENT_FILES", "ALL_FILES",
	"DETAILED_ACCOUNTS", "DETAILED_LABELS", "MESSAGES", "CURRENT_ACTIONS", "REVIEWED", "DRAFT_COMMENTS",
	"DOWNLOAD_COMMANDS", "WEB_LINKS", "CHECK", "CHANGE_ACTIONS", "COMMIT_FOOTERS", "PUSH_CERTIFICATES",
	"REVIEWER_UPDATES", "SUBMITTABLE", "TRACKING_IDS", "SKIP_MERGEABLE", "SKIP_DIFFSTAT", "SUBMIT_REQUIREMENTS",
	"CUSTOM_KEYED_VALUES", "STAR", "PARENTS",
}

// options reads o= and O=; more are those that the call implies.
func (c *call) options(more ...string) (options, error) {
	o := options{}
	for _, name := range more {
		o[name] = true
	}
	query := c.r.URL.Query()
	for _, list := range query["o"] {
		for name := range strings.SplitSeq(list, ",") {
			name = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
			if !slices.Contains(optionNames, name) {
				return nil, fault.New(fault.BadRequest, `"%s" is not a valid value for "-o"`, name)
			}
			o[name] = true
		}
	}
	for _, mask := range query["O"] {
		bits, err := strconv.ParseUint(mask, 16, 64)
		if err != nil {
			return nil, fault.New(fault.BadRequest, `"%s" is not a valid value for "-O"`, mask)
		}
		for i, name := range optionNames {
			if bits>>i&1 == 1 {
				o[name] = true
			}
		}
	}
	return o, nil
}

// any reports whether one of the names is asked for.
func (o options) any(names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return o[name] })
}
