-- +goose Up

-- Numbers that are never used twice, whatever becomes of the row they named.
CREATE TABLE counters (
	name  TEXT PRIMARY KEY,
	value INTEGER NOT NULL
);
INSERT INTO counters (name, value) VALUES ('change', 0), ('account', 999999);

-- Times are microseconds since 1970, UTC, everywhere below.
CREATE TABLE accounts (
	id            INTEGER PRIMARY KEY,
	username      TEXT UNIQUE NOT NULL,
	full_name     TEXT NOT NULL DEFAULT '',
	email         TEXT NOT NULL DEFAULT '',   -- the preferred one of account_emails
	admin         INTEGER NOT NULL DEFAULT 0,
	service       INTEGER NOT NULL DEFAULT 0,
	active        INTEGER NOT NULL DEFAULT 1,
	http_password TEXT NOT NULL DEFAULT '',   -- bcrypt of its SHA-256; '' for none
	registered    INTEGER NOT NULL
);

CREATE TABLE account_emails (
	email   TEXT PRIMARY KEY COLLATE NOCASE,
	account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE
);
CREATE INDEX account_emails_account ON account_emails (account);

CREATE TABLE ssh_keys (
	account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
	seq     INTEGER NOT NULL,
	blob    BLOB NOT NULL UNIQUE,             -- the key in SSH's wire format
	comment TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (account, seq)
);

CREATE TABLE projects (
	name        TEXT PRIMARY KEY,
	description TEXT NOT NULL DEFAULT '',
	parent      TEXT NOT NULL DEFAULT 'All-Projects',
	submit_type TEXT NOT NULL DEFAULT 'MERGE_IF_NECESSARY',
	created     INTEGER NOT NULL
);

CREATE TABLE changes (
	number    INTEGER PRIMARY KEY,
	project   TEXT NOT NULL REFERENCES projects (name),
	branch    TEXT NOT NULL,                  -- without refs/heads/
	change_id TEXT NOT NULL,                  -- I and 40 hex digits
	owner     INTEGER NOT NULL REFERENCES accounts (id),
	status    TEXT NOT NULL DEFAULT 'NEW',    -- NEW, MERGED, ABANDONED
	patch_set INTEGER NOT NULL,               -- the current one
	subject   TEXT NOT NULL,
	topic     TEXT NOT NULL DEFAULT '',
	wip       INTEGER NOT NULL DEFAULT 0,
	private   INTEGER NOT NULL DEFAULT 0,
	created   INTEGER NOT NULL,
	updated   INTEGER NOT NULL,
	submitted INTEGER NOT NULL DEFAULT 0,
	submitter INTEGER REFERENCES accounts (id),
	merged_as TEXT NOT NULL DEFAULT '',       -- the branch's tip right after the submission
	UNIQUE (project, branch, change_id)
);
CREATE INDEX changes_updated ON changes (updated DESC, number DESC);
CREATE INDEX changes_status_updated ON changes (status, updated DESC, number DESC);
CREATE INDEX changes_owner ON changes (owner);
CREATE INDEX changes_change_id ON changes (change_id);
CREATE INDEX changes_topic ON changes (topic) WHERE topic <> '';

CREATE TABLE patch_sets (
	change          INTEGER NOT NULL REFERENCES changes (number) ON DELETE CASCADE,
	number          INTEGER NOT NULL,
	revision        TEXT NOT NULL,            -- the commit's SHA-1
	tree            TEXT NOT NULL,
	parents         TEXT NOT NULL,            -- SHA-1s, separated by spaces
	kind            TEXT NOT NULL,
	uploader        INTEGER NOT NULL REFERENCES accounts (id),
	created         INTEGER NOT NULL,
	author_name     TEXT NOT NULL,
	author_email    TEXT NOT NULL,
	author_time     INTEGER NOT NULL,
	author_zone     INTEGER NOT NULL,         -- minutes east of UTC
	committer_name  TEXT NOT NULL,
	committer_email TEXT NOT NULL,
	committer_time  INTEGER NOT NULL,
	committer_zone  INTEGER NOT NULL,
	message         TEXT NOT NULL,            -- the whole commit message
	description     TEXT NOT NULL DEFAULT '', -- what the push said with m=
	insertions      INTEGER NOT NULL,
	deletions       INTEGER NOT NULL,
	PRIMARY KEY (change, number)
);
CREATE INDEX patch_sets_revision ON patch_sets (revision);

-- A row for each parent, so that a change's children are found.
CREATE TABLE patch_set_parents (
	parent    TEXT NOT NULL,
	change    INTEGER NOT NULL,
	patch_set INTEGER NOT NULL,
	PRIMARY KEY (parent, change, patch_set),
	FOREIGN KEY (change, patch_set) REFERENCES patch_sets (change, number) ON DELETE CASCADE
) WITHOUT ROWID;

-- What a patch set changes against its first parent.
CREATE TABLE files (
	change     INTEGER NOT NULL,
	patch_set  INTEGER NOT NULL,
	path       TEXT NOT NULL,
	old_path   TEXT NOT NULL DEFAULT '',      -- of a rename or copy
	status     TEXT NOT NULL,                 -- A M D R C T
	insertions INTEGER NOT NULL,
	deletions  INTEGER NOT NULL,
	is_binary  INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (change, patch_set, path),
	FOREIGN KEY (change, patch_set) REFERENCES patch_sets (change, number) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX files_path ON files (path);

CREATE TABLE hashtags (
	change INTEGER NOT NULL REFERENCES changes (number) ON DELETE CASCADE,
	tag    TEXT NOT NULL,
	PRIMARY KEY (change, tag)
) WITHOUT ROWID;
CREATE INDEX hashtags_tag ON hashtags (tag);

-- Votes stay with their patch set; those that a later one keeps are copied.
CREATE TABLE votes (
	change    INTEGER NOT NULL REFERENCES changes (number) ON DELETE CASCADE,
	patch_set INTEGER NOT NULL,
	label     TEXT NOT NULL,
	account   INTEGER NOT NULL REFERENCES accounts (id),
	value     INTEGER NOT NULL,               -- never 0
	granted   INTEGER NOT NULL,
	tag       TEXT NOT NULL DEFAULT '',
	copied    INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (change, patch_set, label, account)
) WITHOUT ROWID;
CREATE INDEX votes_account ON votes (account);

CREATE TABLE reviewers (
	change  INTEGER NOT NULL REFERENCES changes (number) ON DELETE CASCADE,
	account INTEGER NOT NULL REFERENCES accounts (id),
	state   TEXT NOT NULL,                    -- REVIEWER, CC
	added   INTEGER NOT NULL,
	PRIMARY KEY (change, account)
) WITHOUT ROWID;
CREATE INDEX reviewers_account ON reviewers (account);

CREATE TABLE messages (
	id        TEXT PRIMARY KEY,               -- 40 hex digits
	change    INTEGER NOT NULL REFERENCES changes (number) ON DELETE CASCADE,
	patch_set INTEGER NOT NULL,
	author    INTEGER REFERENCES accounts (id), -- NULL: the server itself
	created   INTEGER NOT NULL,
	tag       TEXT NOT NULL DEFAULT '',
	text      TEXT NOT NULL
);
CREATE INDEX messages_change ON messages (change, created);

CREATE TABLE comments (
	id          TEXT PRIMARY KEY,
	change      INTEGER NOT NULL REFERENCES changes (number) ON DELETE CASCADE,
	patch_set   INTEGER NOT NULL,
	path        TEXT NOT NULL,
	side        TEXT NOT NULL,                -- REVISION, PARENT
	line        INTEGER NOT NULL DEFAULT 0,   -- 0: the whole file
	start_line  INTEGER NOT NULL DEFAULT 0,
	start_char  INTEGER NOT NULL DEFAULT 0,
	end_line    INTEGER NOT NULL DEFAULT 0,   -- 0: no range
	end_char    INTEGER NOT NULL DEFAULT 0,
	in_reply_to TEXT NOT NULL DEFAULT '',
	author      INTEGER NOT NULL REFERENCES accounts (id),
	updated     INTEGER NOT NULL,
	message     TEXT NOT NULL,
	unresolved  INTEGER NOT NULL DEFAULT 0,
	tag         TEXT NOT NULL DEFAULT '',
	message_id  TEXT NOT NULL DEFAULT '',     -- the message it was published with
	draft       INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX comments_change ON comments (change, draft);
CREATE INDEX comments_drafts ON comments (author) WHERE draft = 1;

CREATE TABLE stars (
	account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
	change  INTEGER NOT NULL REFERENCES changes (number) ON DELETE CASCADE,
	PRIMARY KEY (account, change)
) WITHOUT ROWID;

-- What happened, in order, in the JSON that stream-events sends. position is
-- never used twice, so that a reader resumes where it stopped.
CREATE TABLE events (
	position INTEGER PRIMARY KEY AUTOINCREMENT,
	type     TEXT NOT NULL,
	created  INTEGER NOT NULL,
	project  TEXT NOT NULL DEFAULT '',
	ref      TEXT NOT NULL DEFAULT '',
	change   INTEGER NOT NULL DEFAULT 0,      -- 0: of no change
	json     TEXT NOT NULL
);
CREATE INDEX events_created ON events (created);

-- Ref updates that are decided (their transaction is committed) and that git
-- may not have carried out yet. Emptied by whoever carried them out; what a
-- crash left is carried out at the next start.
CREATE TABLE ref_updates (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	project TEXT NOT NULL,
	ref     TEXT NOT NULL,
	old     TEXT NOT NULL,                    -- 40 zeros: it did not exist
	new     TEXT NOT NULL                     -- 40 zeros: deleted
);

-- +goose Down
DROP TABLE ref_updates;
DROP TABLE events;
DROP TABLE stars;
DROP TABLE comments;
DROP TABLE messages;
DROP TABLE reviewers;
DROP TABLE votes;
DROP TABLE hashtags;
DROP TABLE files;
DROP TABLE patch_set_parents;
DROP TABLE patch_sets;
DROP TABLE changes;
DROP TABLE projects;
DROP TABLE ssh_keys;
DROP TABLE account_emails;
DROP TABLE accounts;
DROP TABLE counters;
