-- +goose Up
-- Times are microseconds since 1970; 0 is never.
CREATE TABLE volumes (
	id          TEXT PRIMARY KEY,
	project_id  TEXT NOT NULL,
	user_id     TEXT NOT NULL,
	name        TEXT NOT NULL,
	description TEXT NOT NULL,
	size_gb     BIGINT NOT NULL,
	status      TEXT NOT NULL,
	task        TEXT NOT NULL, -- what is still to be done in the background
	bootable    BOOLEAN NOT NULL,
	read_only   BOOLEAN, -- NULL: nobody ever said
	image_id    TEXT NOT NULL, -- what the volume is made from: at most one
	snapshot_id TEXT NOT NULL,
	source_id   TEXT NOT NULL,
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL
);
CREATE INDEX volumes_project ON volumes (project_id, created_at, id);
CREATE INDEX volumes_task ON volumes (task);

-- kind is 'volume' for what users note, 'image' for what came with an image.
CREATE TABLE volume_metadata (
	volume_id TEXT NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
	kind      TEXT NOT NULL,
	name      TEXT NOT NULL,
	value     TEXT NOT NULL,
	PRIMARY KEY (volume_id, kind, name)
);

-- A volume has one attachment at most.
CREATE TABLE attachments (
	volume_id   TEXT PRIMARY KEY REFERENCES volumes (id) ON DELETE CASCADE,
	id          TEXT NOT NULL,
	server_id   TEXT NOT NULL,
	device      TEXT NOT NULL,
	host        TEXT NOT NULL,
	by_compute  BOOLEAN NOT NULL, -- made by the compute service, and undone by it alone
	attached_at BIGINT NOT NULL
);

CREATE TABLE snapshots (
	id          TEXT PRIMARY KEY,
	volume_id   TEXT NOT NULL REFERENCES volumes (id),
	project_id  TEXT NOT NULL,
	user_id     TEXT NOT NULL,
	name        TEXT NOT NULL,
	description TEXT NOT NULL,
	size_gb     BIGINT NOT NULL,
	status      TEXT NOT NULL,
	task        TEXT NOT NULL,
	created_at  BIGINT NOT NULL,
	updated_at  BIGINT NOT NULL
);
CREATE INDEX snapshots_project ON snapshots (project_id, created_at, id);
CREATE INDEX snapshots_volume ON snapshots (volume_id);

CREATE TABLE snapshot_metadata (
	snapshot_id TEXT NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE,
	name        TEXT NOT NULL,
	value       TEXT NOT NULL,
	PRIMARY KEY (snapshot_id, name)
);

-- The limits of projects that do not have the default ones; -1 is none.
CREATE TABLE quotas (
	project_id TEXT NOT NULL,
	resource   TEXT NOT NULL,
	maximum    BIGINT NOT NULL,
	PRIMARY KEY (project_id, resource)
);
