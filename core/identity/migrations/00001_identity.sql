-- +goose Up

-- Domains are projects that act as a domain, as in Keystone: is_domain, and
-- no domain above them.
CREATE TABLE projects (
    id          TEXT PRIMARY KEY,
    domain_id   TEXT REFERENCES projects (id),
    parent_id   TEXT REFERENCES projects (id),
    is_domain   BOOLEAN NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    enabled     BOOLEAN NOT NULL,
    tags        TEXT NOT NULL, -- JSON: array of strings
    extra       TEXT NOT NULL  -- JSON: object
);
CREATE UNIQUE INDEX projects_by_name ON projects (COALESCE(domain_id, ''), name);
CREATE INDEX projects_by_parent ON projects (parent_id);

CREATE TABLE users (
    id                 TEXT PRIMARY KEY,
    domain_id          TEXT NOT NULL REFERENCES projects (id),
    name               TEXT NOT NULL,
    enabled            BOOLEAN NOT NULL,
    default_project_id TEXT NOT NULL, -- '': none
    password_hash      TEXT NOT NULL, -- '': no password, cannot log in by one
    extra              TEXT NOT NULL, -- JSON: object
    UNIQUE (domain_id, name)
);

CREATE TABLE groups (
    id          TEXT PRIMARY KEY,
    domain_id   TEXT NOT NULL REFERENCES projects (id),
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    extra       TEXT NOT NULL, -- JSON: object
    UNIQUE (domain_id, name)
);

CREATE TABLE group_members (
    group_id TEXT NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
    user_id  TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_by_user ON group_members (user_id);

CREATE TABLE roles (
    id          TEXT PRIMARY KEY,
    domain_id   TEXT REFERENCES projects (id), -- NULL: a role of the whole cloud
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    extra       TEXT NOT NULL -- JSON: object
);
CREATE UNIQUE INDEX roles_by_name ON roles (COALESCE(domain_id, ''), name);

CREATE TABLE implied_roles (
    prior_id   TEXT NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    implied_id TEXT NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    PRIMARY KEY (prior_id, implied_id)
);

-- Who holds which role on what. Actors are users or groups, targets projects,
-- domains or the system (target_id 'all').
CREATE TABLE assignments (
    actor_kind  TEXT NOT NULL CHECK (actor_kind IN ('user', 'group')),
    actor_id    TEXT NOT NULL,
    target_kind TEXT NOT NULL CHECK (target_kind IN ('project', 'domain', 'system')),
    target_id   TEXT NOT NULL,
    role_id     TEXT NOT NULL REFERENCES roles (id) ON DELETE CASCADE,
    inherited   BOOLEAN NOT NULL, -- holds on the projects below, not on the target itself
    PRIMARY KEY (actor_id, target_id, role_id, inherited)
);
CREATE INDEX assignments_by_target ON assignments (target_id);
CREATE INDEX assignments_by_role ON assignments (role_id);

-- A token is known by its hash only; its roles are computed when it is used.
CREATE TABLE tokens (
    hash        TEXT PRIMARY KEY, -- SHA-256 in hex
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    target_kind TEXT NOT NULL, -- '': unscoped
    target_id   TEXT NOT NULL,
    methods     TEXT NOT NULL, -- JSON: array of strings
    audit_ids   TEXT NOT NULL, -- JSON: array of strings
    issued_at   BIGINT NOT NULL, -- microseconds since 1970
    expires_at  BIGINT NOT NULL  -- microseconds since 1970
);
CREATE INDEX tokens_by_user ON tokens (user_id);
CREATE INDEX tokens_by_target ON tokens (target_id);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);
