package review

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// pushOptions are what a push to refs/for/ asks for besides.
type pushOptions struct {
	topic                  string
	reviewers, cc          []string
	hashtags               []string
	wip, ready             bool
	private, removePrivate bool
	message                string
	labels                 map[string]int
}

// parseOptions reads the options after % in the ref, separated by commas, and
// those of git push -o. An unknown one is refused.
func parseOptions(suffix string, pushed []string) (*pushOptions, *refusal) {
	o := &pushOptions{labels: map[string]int{}}
	for _, option := range append(strings.Split(suffix, ","), pushed...) {
		if option == "" {
			continue
		}
		if err := o.add(option); err != nil {
			return nil, err
		}
	}
	if o.wip && o.ready {
		return nil, refuse("the options 'wip' and 'ready' are mutually exclusive")
	}
	if o.private && o.removePrivate {
		return nil, refuse("the options 'private' and 'remove-private' are mutually exclusive")
	}
	return o, nil
}

func (o *pushOptions) add(option string) *refusal {
	name, value, _ := strings.Cut(option, "=")
	switch name {
	case "topic":
		if len(value) > maxText {
			return refuse("topic length exceeds the limit (%d)", maxText)
		}
		o.topic = value
	case "r", "reviewer":
		o.reviewers = append(o.reviewers, value)
	case "cc":
		o.cc = append(o.cc, value)
	case "t", "hashtag":
		tag := cleanHashtag(value)
		if tag == "" {
			return refuse("empty hashtag")
		}
		o.hashtags = append(o.hashtags, tag)
	case "wip", "work-in-progress":
		o.wip = true
	case "ready":
		o.ready = true
	case "private":
		o.private = true
	case "remove-private":
		o.removePrivate = true
	case "m", "message":
		text, err := url.PathUnescape(strings.ReplaceAll(value, "_", " "))
		if err != nil {
			return refuse("invalid value of the option %q", name)
		}
		o.message = strings.TrimSpace(text)
	case "l", "label":
		return o.addLabel(value)
	case "notify":
		if !slices.Contains([]string{"NONE", "OWNER", "OWNER_REVIEWERS", "ALL"}, strings.ToUpper(value)) {
			return refuse("%q is not a valid value for %q", value, name)
		}
	case "notify-to", "notify-cc", "notify-bcc", "no-publish-comments", "np":
		// Accepted: there is no mail, and a push publishes no drafts.
	default:
		return refuse("%q is not a valid option", name)
	}
	return nil
}

// addLabel reads Label, Label+V, Label-V or Label=V.
func (o *pushOptions) addLabel(text string) *refusal {
	name, value := text, 1
	if i := strings.LastIndexAny(text, "+=-"); i > 0 {
		if v, err := strconv.Atoi(strings.TrimPrefix(text[i:], "=")); err == nil {
			name, value = text[:i], v
		}
	}
	label := labelNamed(name)
	if label == nil {
		return refuse("label %q is not a configured label", name)
	}
	if !label.Has(value) {
		return refuse("label %q: %d is not a valid value", name, value)
	}
	o.labels[name] = value
	return nil
}

// cleanHashtag is a hashtag without its # and the spaces around it.
func cleanHashtag(text string) string {
	return strings.ToLower(strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(text), "#")))
}
