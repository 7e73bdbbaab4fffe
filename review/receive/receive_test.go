package receive_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gatehouse-dev/gatehouse/review/receive"
	"github.com/gatehouse-dev/gatehouse/review/reviewtest"
)

const zeros = "0000000000000000000000000000000000000000"

// TestNonsenseIsRefused sends what no git client does.
func TestNonsenseIsRefused(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	site.Project(t, "p")
	admin := site.Account(t, "admin")
	one := strings.Repeat("1", 40)
	tests := []struct {
		name, request string
		answer        string // in what the client gets
		fails         bool
	}{
		{name: "nothing", request: "0000"},
		{name: "no length", request: "zzzz", fails: true},
		{name: "cut off", request: "00ff" + zeros, fails: true},
		{name: "no command", request: line("hello") + "0000", fails: true},
		{name: "short hash", request: line(zeros+" 11 refs/heads/x") + "0000", fails: true},
		{name: "no pack", request: line(zeros+" "+one+" refs/heads/x\x00report-status") + "0000", answer: "unpack no pack was sent"},
		{name: "no pack but text", request: line(zeros+" "+one+" refs/heads/x\x00report-status") + "0000" + strings.Repeat("x", 20), answer: "unpack bad pack header"},
		{name: "an empty pack of nothing", request: line(zeros+" "+one+" refs/heads/x\x00report-status") + "0000" +
			"PACK\x00\x00\x00\x02\x00\x00\x00\x00" + "\x02\x9d\x08\x82\x3b\xd8\xa8\xea\xb5\x10\xad\x6a\xc7\x5c\x82\x3c\xfd\x3e\xd3\x1e", answer: "ng refs/heads/x unpacker error"},
		{name: "a pack that lies", request: line(zeros+" "+one+" refs/heads/x\x00report-status") + "0000" + "PACK\x00\x00\x00\x02\xff\xff\xff\xff", answer: "ng refs/heads/x unpacker error"},
		{name: "a ref outside", request: line(one+" "+zeros+" ../../x\x00report-status") + "0000", answer: "ng ../../x invalid ref name"},
		{name: "a ref that is an order", request: line(one+" "+zeros+" refs/heads/x\ndelete refs/heads/main\x00report-status") + "0000", answer: "invalid ref name"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var answer bytes.Buffer
			err := receive.Serve(t.Context(), site.Service, admin, "p", strings.NewReader(test.request), &answer)
			assert.Equal(t, test.fails, err != nil, "%v", err)
			assert.Contains(t, answer.String(), test.answer)
		})
	}
	branches, err := site.Branches(t.Context(), nil, "p")
	require.NoError(t, err)
	assert.Len(t, branches, 1)
}

// line is a pkt-line.
func line(text string) string {
	const digits = "0123456789abcdef"
	n := len(text) + 4
	return string([]byte{digits[n>>12&15], digits[n>>8&15], digits[n>>4&15], digits[n&15]}) + text
}

func TestAnEmptyProjectIsAdvertised(t *testing.T) {
	t.Parallel()
	site := reviewtest.Start(t)
	var out bytes.Buffer
	require.Error(t, receive.Advertise(t.Context(), site.Service, site.Account(t, "admin"), "none", &out))
	require.Error(t, receive.Advertise(t.Context(), site.Service, nil, "none", &out))
	site.Project(t, "p")
	require.NoError(t, receive.Advertise(t.Context(), site.Service, site.Account(t, "ann"), "p", &out))
	assert.Contains(t, out.String(), " refs/heads/main\x00report-status ")
	assert.True(t, strings.HasSuffix(out.String(), "\n0000"))
}
