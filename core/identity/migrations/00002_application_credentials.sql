-- +goose Up

CREATE TABLE application_credentials (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    project_id   TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    description  TEXT NOT NULL,
    secret_hash  TEXT NOT NULL,
    role_ids     TEXT NOT NULL, -- JSON: array of strings
    unrestricted BOOLEAN NOT NULL,
    expires_at   BIGINT NOT NULL, -- microseconds since 1970; 0: never
    UNIQUE (user_id, name)
);

ALTER TABLE tokens ADD COLUMN application_credential_id TEXT
    REFERENCES application_credentials (id) ON DELETE CASCADE;
