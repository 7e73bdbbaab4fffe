-- +goose Up

ALTER TABLE projects ADD COLUMN options TEXT NOT NULL DEFAULT '{}'; -- JSON: object
ALTER TABLE users    ADD COLUMN options TEXT NOT NULL DEFAULT '{}'; -- JSON: object
ALTER TABLE roles    ADD COLUMN options TEXT NOT NULL DEFAULT '{}'; -- JSON: object
