package review

import _ "embed" // for the hook

// CommitMsgHook is the hook that gives commits their Change-Id, a POSIX shell
// script for .git/hooks/commit-msg. It is served as hooks/commit-msg by scp and
// sftp, and at /tools/hooks/commit-msg. Do not write to it.
//
//go:embed hooks/commit-msg
var CommitMsgHook []byte
