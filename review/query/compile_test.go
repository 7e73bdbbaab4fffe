package query_test

import (
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/core/db"
	"github.com/gatehouse-dev/gatehouse/review/query"
)

var now = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

var env = query.Env{
	Now:  now,
	Self: 1000001,
	Labels: []query.Label{
		{Name: "Code-Review", Min: -2, Max: 2}, {Name: "Verified", Min: -2, Max: 2}, {Name: "Workflow", Min: -1, Max: 1},
	},
}

// site is the review server's real schema with five changes in it.
func site(t *testing.T) *sql.DB {
	t.Helper()
	handle, err := db.Open(t.Context(), "", os.DirFS("../migrations"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, handle.Close()) })
	statements, err := os.ReadFile("testdata/site.sql")
	require.NoError(t, err)
	_, err = handle.ExecContext(t.Context(), string(statements))
	require.NoError(t, err)
	return handle
}

func find(t *testing.T, handle *sql.DB, text string, env query.Env) []int {
	t.Helper()
	expr, err := query.Parse(text)
	require.NoError(t, err, text)
	condition, err := query.Compile(expr, env)
	require.NoError(t, err, text)
	rows, err := handle.QueryContext(t.Context(), "SELECT c.number FROM changes c WHERE "+condition.Where+" ORDER BY c.number", condition.Args...)
	require.NoError(t, err, "%s\n%s", text, condition.Where)
	defer rows.Close()
	found := []int{}
	for rows.Next() {
		var n int
		require.NoError(t, rows.Scan(&n))
		found = append(found, n)
	}
	require.NoError(t, rows.Err())
	return found
}

func TestOperatorsFindTheirChanges(t *testing.T) {
	handle := site(t)
	all := []int{1, 2, 3, 4, 5}
	for text, want := range map[string][]int{
		"":                                  all,
		"status:open":                       {1, 2, 5},
		"status:new":                        {1, 2, 5},
		"status:closed":                     {3, 4},
		"status:merged":                     {3},
		"is:abandoned":                      {4},
		"-status:open":                      {3, 4},
		"NOT (1 OR 2)":                      {3, 4, 5},
		"is:wip":                            {2},
		"is:private":                        {5},
		"is:owner":                          {1, 3},
		"is:reviewer":                       {2},
		"is:cc":                             {4},
		"is:starred":                        {3},
		"has:star":                          {3},
		"has:draft":                         {2},
		"has:edit":                          {},
		"is:merge":                          {3},
		"is:uploader":                       {1, 2, 3},
		"is:reviewed":                       {1},
		"project:tools/build":               {1, 2, 3},
		"p:lib":                             {4, 5},
		"projects:tools/":                   {1, 2, 3},
		"parentproject:Parent":              {4, 5},
		"branch:main":                       {1, 2, 4, 5},
		"branch:refs/heads/stable/1.0":      {3},
		"ref:refs/heads/stable/1.0":         {3},
		"ref:refs/tags/x":                   {},
		"topic:{big move}":                  {1, 2},
		"topic:big":                         {},
		"intopic:BIG":                       {1, 2},
		"intopic:%":                         {},
		"hashtag:urgent":                    {1},
		"hashtag:#Urgent":                   {1},
		"inhashtag:gent":                    {1},
		"owner:self":                        {1, 3},
		"owner:bob":                         {2, 4},
		"owner:BOB":                         {2, 4},
		"owner:1000002":                     {2, 4},
		`owner:"Bob Builder"`:               {2, 4},
		"owner:bob@old.example":             {2, 4},
		`o:"Bob Builder <bob@example.com>"`: {2, 4},
		"owner:nobody":                      {},
		"reviewer:alice":                    {2},
		"r:gate":                            {1},
		"cc:self":                           {4},
		"commentby:gate":                    {1},
		"comment:SUCCESS":                   {1},
		"comment:nitpick":                   {2},
		"author:carol":                      {2},
		"committer:alice@example.com":       {1, 2, 3, 4, 5},
		"3":                                 {3},
		"change:3":                          {3},
		"change:Iaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": {1, 4},
		"Iaaaa":                          {1, 4},
		"tools/build~main~Iaaaaaaaaaaaa": {1},
		"change:lib~refs/heads/main~Iaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa": {4},
		"commit:1111111111111111111111111111111111111111":                      {1},
		"commit:2222":                                      {2},
		"1111111":                                          {},
		"abcdef1":                                          {1},
		"commit:0101 OR commit:2222":                       {2},
		"parentof:2":                                       {1},
		"message:Bug-42":                                   {2},
		"message:bug-42":                                   {2},
		"subject:Teach":                                    {2},
		"teach":                                            {2},
		"builder":                                          {2, 4},
		"label:Code-Review=+2":                             {1},
		"label:Code-Review=MAX":                            {1},
		"label:Code-Review=MIN":                            {2},
		"label:code-review+2":                              {1},
		"label:Code-Review-2":                              {2},
		"label:Code-Review>=1":                             {1},
		"label:Code-Review>1":                              {1},
		"label:Code-Review<0":                              {2},
		"label:Code-Review<=-1":                            {2},
		"label:Code-Review=ANY":                            all,
		"label:Code-Review=0":                              {3, 4, 5},
		"label:Code-Review=0,user=bob":                     {3, 4, 5},
		"label:Code-Review=0,user=alice":                   all,
		"comment:secret":                                   {},
		"label:Code-Review=+2,user=bob":                    {1},
		"label:Code-Review=+2,bob":                         {1},
		"label:Code-Review=+2,user=alice":                  {},
		"label:Code-Review=-2,owner":                       {2},
		`label:"Verified=1,group=Service Users"`:           {1},
		"label:Code-Review=+2,user=non_uploader":           {1},
		"label:Code-Review=-2,user=non_uploader":           {2},
		"label:Unknown=1":                                  {},
		"label:Code-Review=MAX AND -label:Code-Review=MIN": {1},
		"age:2d":                              {3, 4, 5},
		"-age:2d":                             {1, 2},
		"-age:172800s":                        {1, 2},
		"{age:1d}":                            {},
		"age:{1d 12h}":                        {2, 3, 4, 5},
		"after:2026-03-09":                    {1},
		"before:2026-03-09":                   {2, 3, 4, 5},
		`since:"2026-03-08 12:30:00"`:         {1, 2},
		`until:"2026-03-08 12:30:00.5 +0000"`: {3, 4, 5},
		"mergedafter:2026-03-01":              {3},
		"mergedbefore:2026-03-01":             {},
		"file:main.go":                        {1},
		"file:cmd":                            {1},
		"file:cmd/main.go":                    {1},
		"file:in.go":                          {},
		"path:main.go":                        {},
		"path:cmd/main.go":                    {1},
		"file:cmd/*":                          {1},
		"dir:cmd":                             {1},
		"ext:go":                              {1},
		"extension:.md":                       {2},
		"added:>5":                            {1},
		"delta:<=3":                           {2, 3, 4, 5},
		"limit:2":                             all,
		"status:open limit:2":                 {1, 2, 5},
		"project:tools/build status:open -is:wip OR project:x": {1},
	} {
		assert.Equal(t, want, find(t, handle, text, env), text)
	}
}

func compile(text string, env query.Env) (query.Condition, error) {
	expr, err := query.Parse(text)
	if err != nil {
		return query.Condition{}, err
	}
	return query.Compile(expr, env)
}

func TestCompileSaysWhatItDoesNotKnow(t *testing.T) {
	for text, want := range map[string]string{
		"nonsense:x":                  "Unsupported operator nonsense:x",
		"status:odd":                  "Unrecognized value: odd",
		"is:odd":                      "Unsupported operator is:odd",
		"has:odd":                     "Unsupported operator has:odd",
		"age:x":                       "Invalid age: x",
		"age:3parsecs":                "Invalid age unit: parsecs",
		"age:999999999y":              "Invalid age: 999999999y",
		"after:yesterday":             "Invalid date: yesterday",
		"change:x":                    "Invalid change format",
		"commit:xyz":                  "Invalid commit: xyz",
		"label:Code-Review=x":         "Invalid label value: x",
		"label:=1":                    "Invalid label: =1",
		"label:Code-Review=1,group=g": "Group g not found",
		"label:Code-Review=1,x=y":     "Unsupported label argument: x=y",
		"limit:0":                     "Invalid limit: 0",
		"-limit:3":                    "limit: cannot be negated",
		"file:^x":                     "regular expressions are not supported: ^x",
		"branch:^x":                   "regular expressions are not supported: ^x",
		"added:many":                  "Invalid number: many",
	} {
		_, err := compile(text, env)
		var wrong *query.Error
		require.ErrorAs(t, err, &wrong, text)
		assert.Equal(t, want, wrong.Message, text)
	}
}

func TestOperatorsOnOneselfNeedOne(t *testing.T) {
	for _, text := range []string{"is:owner", "owner:self", "is:starred", "has:draft", "label:Verified=1,user=self", "is:uploader", "cc:me"} {
		_, err := compile(text, query.Env{Now: now, Labels: env.Labels})
		assert.EqualError(t, err, "Must be signed-in to use this operator", text)
	}
}

func TestLimitIsTheSmallestAskedFor(t *testing.T) {
	condition, err := compile("limit:9 status:open (limit:3 OR limit:7)", env)
	require.NoError(t, err)
	assert.Equal(t, 3, condition.Limit)
}

// gertty negates every project it knows and asks for a hundred commits.
func TestLongQueriesStayShallow(t *testing.T) {
	handle := site(t)
	assert.Equal(t, []int{4, 5}, find(t, handle, strings.Repeat("-project:tools/build ", 900), env))
	assert.Equal(t, []int{1, 2, 3}, find(t, handle, strings.Repeat("project:none OR ", 900)+"project:tools/build", env))
	assert.Equal(t, []int{1, 2, 3, 4, 5}, find(t, handle, strings.Repeat("-", 50)+"status:open OR 3 OR 4", env))
}
