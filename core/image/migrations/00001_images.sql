-- +goose Up
-- Times are microseconds since 1970, sizes bytes unless the name says else.
CREATE TABLE images (
	id               TEXT PRIMARY KEY,
	name             TEXT NOT NULL,
	owner            TEXT NOT NULL,
	visibility       TEXT NOT NULL,
	status           TEXT NOT NULL,
	disk_format      TEXT NOT NULL,
	container_format TEXT NOT NULL,
	min_disk         BIGINT NOT NULL, -- GB
	min_ram          BIGINT NOT NULL, -- MB
	protected        BOOLEAN NOT NULL,
	os_hidden        BOOLEAN NOT NULL,
	size             BIGINT NOT NULL, -- -1 until there is data
	virtual_size     BIGINT NOT NULL, -- 0 if unknown
	checksum         TEXT NOT NULL,
	os_hash_value    TEXT NOT NULL,
	created_at       BIGINT NOT NULL,
	updated_at       BIGINT NOT NULL
);
CREATE INDEX images_owner ON images (owner);
CREATE INDEX images_created ON images (created_at, id);

CREATE TABLE image_properties (
	image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
	name     TEXT NOT NULL,
	value    TEXT NOT NULL,
	PRIMARY KEY (image_id, name)
);

CREATE TABLE image_tags (
	image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
	tag      TEXT NOT NULL,
	PRIMARY KEY (image_id, tag)
);

CREATE TABLE image_members (
	image_id   TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
	member     TEXT NOT NULL,
	status     TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	updated_at BIGINT NOT NULL,
	PRIMARY KEY (image_id, member)
);
CREATE INDEX image_members_member ON image_members (member);

-- The ids of deleted images are never given again: machines made from such an
-- image still go by its id.
CREATE TABLE deleted_images (id TEXT PRIMARY KEY);
