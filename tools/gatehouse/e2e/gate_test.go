//go:build e2e

package e2e_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAJobFileThatDoesNotParseIsRefusedWithFileAndLine(t *testing.T) {
	t.Parallel()
	r := shared.project(t, "bad-job-file", map[string]string{"README": "text\n"})
	r.commit(t, "Add a job file", map[string]string{".gate.yaml": "- job:\n    name: unit\n    rum: make test\n"})
	vote, report := shared.awaitVerified(t, r.review(t), time.Minute)
	assert.Equal(t, -1, vote)
	assert.Contains(t, report, ".gate.yaml:3")
	assert.Contains(t, report, "rum")
}

func TestAProjectWithoutAJobFileGetsACommentAndNoVote(t *testing.T) {
	t.Parallel()
	r := shared.project(t, "no-job-file", map[string]string{"README": "text\n"})
	r.commit(t, "Change", map[string]string{"README": "other text\n"})
	change := r.review(t)
	eventually(t, time.Minute, "the gate's comment", func() bool {
		for _, m := range shared.detail(t, change).Messages {
			if strings.Contains(m.Message, ".gate.yaml") {
				return true
			}
		}
		return false
	})
	assert.Zero(t, shared.detail(t, change).verified())
}

// misbehaviour is a job file whose jobs do what no job should. Those that are
// not to be reached are the host's services, at QEMU's addresses for the host.
func misbehaviour(t *testing.T) string {
	t.Helper()
	var targets []string
	for _, address := range []string{shared.Core, shared.Review, shared.SSH, shared.Gate} {
		_, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		for _, host := range []string{"10.0.2.2", "10.0.2.3", "10.0.2.4"} {
			targets = append(targets, host+":"+port)
		}
	}
	return fmt.Sprintf(`
- job:
    name: endless
    timeout: 10s
    run: sleep 3600
- job:
    name: chatty
    timeout: 10m
    run: head -c 150000000 /dev/zero | tr '\0' 'x'
- job:
    name: greedy
    run:
      - fallocate -l "$(df --output=avail -B1 . | tail -n 1)" everything || true
      - head -c 100000000 /dev/zero > more
- job:
    name: suicidal
    run: sudo sh -c 'kill -9 1; echo b > /proc/sysrq-trigger; sleep 60'
- job:
    name: curious
    run: |
      # That the probe can find a service is shown by the guest's own.
      reach() { timeout 3 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; }
      reach 127.0.0.1 22
      for at in %s; do
        if reach $(echo $at | tr : ' '); then echo "REACHED $at"; exit 1; fi
      done
- project:
    check: {jobs: [endless, chatty, greedy, suicidal, curious]}
    gate: {jobs: [curious]}
`, strings.Join(targets, " "))
}

func TestJobsThatMisbehaveHurtNobodyElse(t *testing.T) {
	t.Parallel()
	r := shared.project(t, "misbehaviour", map[string]string{"README": "text\n"})
	r.commit(t, "Misbehave", map[string]string{".gate.yaml": misbehaviour(t)})
	vote, report := shared.awaitVerified(t, r.review(t), 10*time.Minute)
	assert.Equal(t, -1, vote)
	for job, result := range map[string]string{
		"endless": "TIMED_OUT", "chatty": "SUCCESS", "greedy": "DISK_FULL", "suicidal": "RETRY_LIMIT", "curious": "SUCCESS",
	} {
		assert.Regexp(t, `(?m)^- `+job+` \S+ : `+result, report)
	}
}
