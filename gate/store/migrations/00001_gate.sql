-- +goose Up
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

-- One row for each item's state that was tested, and how it ended.
CREATE TABLE buildsets (
    uuid      TEXT    NOT NULL PRIMARY KEY,
    pipeline  TEXT    NOT NULL,
    project   TEXT    NOT NULL,
    branch    TEXT    NOT NULL,
    change    INTEGER NOT NULL,
    patch_set INTEGER NOT NULL,
    revision  TEXT    NOT NULL,
    ref       TEXT    NOT NULL,
    subject   TEXT    NOT NULL,
    owner     TEXT    NOT NULL,
    url       TEXT    NOT NULL,
    base      TEXT    NOT NULL, -- JSON: the changes ahead that are in the state
    commit_id TEXT    NOT NULL DEFAULT '',
    tree      TEXT    NOT NULL DEFAULT '',
    result    TEXT    NOT NULL DEFAULT '', -- empty: under way; CANCELED: thrown away
    message   TEXT    NOT NULL DEFAULT '',
    began     INTEGER NOT NULL, -- microseconds since 1970, as all times here
    ended     INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX buildsets_began ON buildsets (began);
CREATE INDEX buildsets_change ON buildsets (change, patch_set);

-- One row for each try of a job.
CREATE TABLE builds (
    uuid     TEXT    NOT NULL PRIMARY KEY,
    buildset TEXT    NOT NULL REFERENCES buildsets (uuid),
    job      TEXT    NOT NULL,
    try      INTEGER NOT NULL,
    voting   INTEGER NOT NULL,
    result   TEXT    NOT NULL DEFAULT '',
    detail   TEXT    NOT NULL DEFAULT '', -- why, for people
    final    INTEGER NOT NULL DEFAULT 1,  -- 0: another try took its place
    label    TEXT    NOT NULL DEFAULT '',
    node     TEXT    NOT NULL DEFAULT '',
    findings TEXT    NOT NULL DEFAULT '{}', -- JSON
    timings  TEXT    NOT NULL DEFAULT '{}', -- JSON
    queued   INTEGER NOT NULL,
    began    INTEGER NOT NULL DEFAULT 0, -- the machine was asked for
    ended    INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX builds_buildset ON builds (buildset);
CREATE INDEX builds_queued ON builds (queued);
CREATE INDEX builds_job ON builds (job, result, queued);
