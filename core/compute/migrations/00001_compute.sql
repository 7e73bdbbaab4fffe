-- +goose Up

-- Times are microseconds since 1970, UTC; 0 is never. Columns of JSON hold
-- what is only ever read and written as a whole.

CREATE TABLE flavors (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    vcpus       INTEGER NOT NULL,
    memory_mb   INTEGER NOT NULL,
    disk_gb     INTEGER NOT NULL,
    ephemeral_gb INTEGER NOT NULL,
    swap_mb     INTEGER NOT NULL,
    rxtx_factor DOUBLE PRECISION NOT NULL,
    private     BOOLEAN NOT NULL,
    disabled    BOOLEAN NOT NULL,
    extra_specs TEXT NOT NULL -- JSON object of strings
);

CREATE TABLE flavor_access (
    flavor_id  TEXT NOT NULL REFERENCES flavors (id) ON DELETE CASCADE,
    project_id TEXT NOT NULL,
    PRIMARY KEY (flavor_id, project_id)
);

CREATE TABLE keypairs (
    id          INTEGER PRIMARY KEY,
    user_id     TEXT NOT NULL,
    name        TEXT NOT NULL,
    type        TEXT NOT NULL,
    public_key  TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    UNIQUE (user_id, name)
);

CREATE TABLE servers (
    id             TEXT PRIMARY KEY,
    project_id     TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    name           TEXT NOT NULL,
    vm_state       TEXT NOT NULL,
    task_state     TEXT NOT NULL,
    host           TEXT NOT NULL, -- '' while nothing is claimed for it
    vcpus          INTEGER NOT NULL,
    memory_mb      INTEGER NOT NULL,
    address        TEXT UNIQUE,   -- NULL while it has none
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    server         TEXT NOT NULL  -- JSON: the whole server
);
CREATE INDEX servers_by_project ON servers (project_id, created_at, id);
CREATE INDEX servers_by_time ON servers (created_at, id);

CREATE TABLE attachments (
    id         TEXT PRIMARY KEY,
    server_id  TEXT NOT NULL REFERENCES servers (id),
    volume_id  TEXT NOT NULL,
    device     TEXT NOT NULL,
    tag        TEXT NOT NULL,
    delete_on_termination BOOLEAN NOT NULL,
    state      TEXT NOT NULL, -- attaching, attached or detaching
    disk       TEXT NOT NULL, -- JSON
    created_at BIGINT NOT NULL,
    UNIQUE (server_id, volume_id),
    UNIQUE (server_id, device)
);

CREATE TABLE actions (
    id          INTEGER PRIMARY KEY,
    server_id   TEXT NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    request_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    started_at  BIGINT NOT NULL,
    finished_at BIGINT NOT NULL, -- 0 while it goes on
    failure     TEXT NOT NULL    -- '' unless it failed
);
CREATE INDEX actions_by_server ON actions (server_id, id);

CREATE TABLE quotas (
    project_id TEXT NOT NULL,
    resource   TEXT NOT NULL,
    allowed    INTEGER NOT NULL, -- -1: without limit
    PRIMARY KEY (project_id, resource)
);

-- What the service itself remembers: whether it made its first flavors.
CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
