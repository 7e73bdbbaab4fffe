package rest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReviewGivesVotesWithinTheCallersRange(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t)
	const path = "/a/changes/1/revisions/current/review"
	given := ok[object](s.call("bob", "POST "+path, `{"message":"Fine","labels":{"Code-Review":1}}`), 200)
	assert.Equal(t, object{"labels": object{"Code-Review": 1.0}}, given)

	s.call("bob", "POST "+path, `{"labels":{"Code-Review":2}}`).fails(http.StatusForbidden, `Applying label "Code-Review": 2 is restricted`)
	ok[object](s.call("bob", "POST "+path, `{"labels":{"Nonsense":1}}`), 200)
	assert.Equal(t, http.StatusBadRequest, s.call("bob", "POST "+path, `{"labels":{"Nonsense":1},"strict_labels":true}`).status)
	s.call("", "POST /changes/1/revisions/current/review", `{"message":"x"}`).fails(http.StatusForbidden, "Authentication required")
	assert.Equal(t, http.StatusBadRequest, s.call("bob", "POST "+path, `{"labels":`).status)

	detail := ok[struct {
		Labels map[string]struct {
			All []struct {
				Username string
				Value    int
				Date     string
			}
			Recommended *object
			Values      map[string]string
		}
		Permitted map[string][]string `json:"permitted_labels"`
		Messages  []struct{ Message string }
	}](s.call("bob", "GET /a/changes/1/detail", ""), 200)
	require.Len(t, detail.Labels["Code-Review"].All, 1)
	vote := detail.Labels["Code-Review"].All[0]
	assert.Equal(t, "bob", vote.Username)
	assert.Equal(t, 1, vote.Value)
	assert.Regexp(t, `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9}$`, vote.Date)
	assert.NotNil(t, detail.Labels["Code-Review"].Recommended)
	assert.Equal(t, "Looks good to me, approved", detail.Labels["Code-Review"].Values["+2"])
	assert.Equal(t, []string{"-1", " 0", "+1"}, detail.Permitted["Code-Review"])
	assert.NotContains(t, detail.Permitted, "Verified")
	assert.Equal(t, "Patch Set 1: Code-Review+1\n\nFine", detail.Messages[1].Message)
}

func TestSubmitSaysWhatIsMissingThenMerges(t *testing.T) {
	t.Parallel()
	s, clone := oneChange(t)
	s.call("admin", "POST /a/changes/1/submit", "{}").fails(http.StatusConflict,
		"Failed to submit 1 change due to the following problems:\nChange 1: submit requirement 'Code-Review' is unsatisfied.")
	s.call("bob", "POST /a/changes/1/submit", "{}").fails(http.StatusForbidden, "submit not permitted")

	needed := ok[struct {
		Submittable  bool
		Requirements []struct {
			Name, Status string
			Result       struct {
				Status  string
				Failing []string `json:"failing_atoms"`
			} `json:"submittability_expression_result"`
		} `json:"submit_requirements"`
		Records []struct{ Status string } `json:"submit_records"`
	}](s.call("", "GET /changes/1/detail", ""), 200)
	assert.False(t, needed.Submittable)
	assert.Equal(t, "Code-Review", needed.Requirements[0].Name)
	assert.Equal(t, "UNSATISFIED", needed.Requirements[0].Status)
	assert.Equal(t, "FAIL", needed.Requirements[0].Result.Status)
	assert.Contains(t, needed.Requirements[0].Result.Failing, "label:Code-Review=MAX")
	assert.Equal(t, "NOT_READY", needed.Records[0].Status)

	ok[object](s.call("admin", "POST /a/changes/1/revisions/1/review", `{"labels":{"Code-Review":2}}`), 200)
	assert.Equal(t, true, ok[object](s.call("", "GET /changes/1?o=SUBMITTABLE", ""), 200)["submittable"])
	merged := ok[object](s.call("admin", "POST /a/changes/1/revisions/current/submit", ""), 200)
	assert.Equal(t, "MERGED", merged["status"])
	assert.NotEmpty(t, merged["submitted"])

	branch := ok[object](s.call("", "GET /projects/tools%2Fhello/branches/main", ""), 200)
	assert.Equal(t, clone.Git("rev-parse", "HEAD"), branch["revision"])
	s.call("admin", "POST /a/changes/1/submit", "{}").fails(http.StatusConflict, "change is merged")
	s.call("admin", "POST /a/changes/1/abandon", "{}").fails(http.StatusConflict, "change is merged")
}

func TestAnOldRevisionCannotBeSubmitted(t *testing.T) {
	t.Parallel()
	s, clone := oneChange(t)
	old := clone.Git("rev-parse", "HEAD")
	clone.Amend("hello.txt", "hello\n")
	clone.Git("push", "-q", "origin", "HEAD:refs/for/main")
	s.call("admin", "POST /a/changes/1/revisions/1/submit", "{}").fails(http.StatusConflict, "revision "+old+" is not current revision")
}

func TestAbandonAndRestore(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t)
	s.call("bob", "POST /a/changes/1/abandon", "{}").fails(http.StatusForbidden, "abandon not permitted")
	assert.Equal(t, "ABANDONED", ok[object](s.call("ann", "POST /a/changes/1/abandon", `{"message":"Not now"}`), 200)["status"])
	s.call("ann", "POST /a/changes/1/abandon", "{}").fails(http.StatusConflict, "change is abandoned")
	assert.Equal(t, "NEW", ok[object](s.call("ann", "POST /a/changes/1/restore", ""), 200)["status"])
	s.call("ann", "POST /a/changes/1/restore", "{}").fails(http.StatusConflict, "change is new")
	messages := ok[[]object](s.call("", "GET /changes/1/messages", ""), 200)
	assert.Equal(t, "Abandoned\n\nNot now", messages[1]["message"])
	assert.Equal(t, "Restored", messages[2]["message"])
}

func TestTopicHashtagsAndState(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t)
	assert.Equal(t, "big", ok[string](s.call("ann", "PUT /a/changes/1/topic", `{"topic":"big"}`), 200))
	assert.Equal(t, "big", ok[string](s.call("", "GET /changes/1/topic", ""), 200))
	assert.Equal(t, 204, s.call("ann", "DELETE /a/changes/1/topic", "").status)
	assert.Empty(t, ok[string](s.call("", "GET /changes/1/topic", ""), 200))

	assert.Equal(t, []string{"a", "b"}, ok[[]string](s.call("ann", "POST /a/changes/1/hashtags", `{"add":["b","#a"]}`), 200))
	assert.Equal(t, []string{"b"}, ok[[]string](s.call("ann", "POST /a/changes/1/hashtags", `{"remove":["a"]}`), 200))
	assert.Equal(t, []string{"b"}, ok[[]string](s.call("", "GET /changes/1/hashtags", ""), 200))

	assert.Equal(t, 200, s.call("ann", "POST /a/changes/1/wip", "").status)
	assert.Equal(t, true, ok[object](s.call("", "GET /changes/1", ""), 200)["work_in_progress"])
	assert.Equal(t, 409, s.call("ann", "POST /a/changes/1/wip", "{}").status)
	assert.Equal(t, 200, s.call("ann", "POST /a/changes/1/ready", "{}").status)
	assert.Nil(t, ok[object](s.call("", "GET /changes/1", ""), 200)["work_in_progress"])

	assert.Equal(t, 201, s.call("ann", "POST /a/changes/1/private", "{}").status)
	s.call("bob", "GET /a/changes/1", "").fails(http.StatusNotFound, "Not found: 1")
	assert.Equal(t, 204, s.call("ann", "DELETE /a/changes/1/private", "").status)

	assert.Equal(t, 204, s.call("ann", "GET /a/changes/1/edit", "").status, "there is no edit: not 200")
}

func TestReviewers(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t)
	s.Account(t, "bob")
	added := ok[object](s.call("ann", "POST /a/changes/1/reviewers", `{"reviewer":"bob"}`), 200)
	assert.Len(t, added["reviewers"], 1)
	unknown := ok[object](s.call("ann", "POST /a/changes/1/reviewers", `{"reviewer":"nobody"}`), 200)
	assert.NotEmpty(t, unknown["error"])
	list := ok[[]object](s.call("", "GET /changes/1/reviewers/", ""), 200)
	require.Len(t, list, 1)
	assert.Equal(t, "bob", list[0]["username"])
	ok[object](s.call("bob", "POST /a/changes/1/revisions/1/review", `{"labels":{"Code-Review":-1}}`), 200)
	assert.Equal(t, object{"Code-Review": -1.0}, ok[object](s.call("", "GET /changes/1/reviewers/bob/votes/", ""), 200))
	assert.Equal(t, 204, s.call("bob", "DELETE /a/changes/1/reviewers/bob/votes/Code-Review", "").status)
	assert.Empty(t, ok[object](s.call("", "GET /changes/1/reviewers/bob/votes/", ""), 200))
	assert.Equal(t, 204, s.call("ann", "POST /a/changes/1/reviewers/bob/delete", "{}").status)
	assert.Empty(t, ok[[]object](s.call("", "GET /changes/1/reviewers/", ""), 200))
}

func TestCommentsAndDrafts(t *testing.T) {
	t.Parallel()
	s, _ := oneChange(t)
	const revision = "/a/changes/1/revisions/1"
	ok[object](s.call("bob", "POST "+revision+"/review",
		`{"comments":{"hello.txt":[{"line":2,"message":"Which?","unresolved":true}],"/PATCHSET_LEVEL":[{"message":"All in all"}]}}`), 200)
	comments := ok[map[string][]object](s.call("", "GET /changes/1/comments", ""), 200)
	require.Len(t, comments["hello.txt"], 1)
	require.Len(t, comments["/PATCHSET_LEVEL"], 1)
	assert.Equal(t, true, comments["hello.txt"][0]["unresolved"])
	assert.InDelta(t, 1, ok[object](s.call("", "GET /changes/1", ""), 200)["unresolved_comment_count"], 0)

	id, _ := comments["hello.txt"][0]["id"].(string)
	draft := ok[object](s.call("ann", "PUT "+revision+"/drafts", `{"path":"hello.txt","line":2,"in_reply_to":"`+id+`","message":"Ours","unresolved":false}`), 201)
	draftID, _ := draft["id"].(string)
	assert.Empty(t, ok[object](s.call("bob", "GET "+revision+"/drafts", ""), 200), "drafts are the author's alone")
	s.call("bob", "GET "+revision+"/drafts/"+draftID, "").fails(http.StatusNotFound, "Not found: "+draftID)
	s.call("", "GET /changes/1/drafts", "").fails(http.StatusForbidden, "Authentication required")
	assert.Equal(t, "Ours!", ok[object](s.call("ann", "PUT "+revision+"/drafts/"+draftID, `{"line":2,"in_reply_to":"`+id+`","message":"Ours!"}`), 200)["message"])
	ok[object](s.call("ann", "POST "+revision+"/review", `{"drafts":"PUBLISH"}`), 200)
	assert.Len(t, ok[map[string][]object](s.call("", "GET "+revision[2:]+"/comments", ""), 200)["hello.txt"], 2)
	assert.InDelta(t, 0, ok[object](s.call("", "GET /changes/1", ""), 200)["unresolved_comment_count"], 0)

	other := ok[object](s.call("ann", "PUT "+revision+"/drafts", `{"path":"hello.txt","message":"x"}`), 201)
	otherID, _ := other["id"].(string)
	assert.Equal(t, 204, s.call("ann", "DELETE "+revision+"/drafts/"+otherID, "").status)
	assert.Empty(t, ok[object](s.call("ann", "GET /a/changes/1/drafts", ""), 200))
}
