INSERT INTO accounts (id, username, full_name, email, admin, service, registered) VALUES
	(1000001, 'alice', 'Alice', 'alice@example.com', 1, 0, 0),
	(1000002, 'bob', 'Bob Builder', 'bob@example.com', 0, 0, 0),
	(1000003, 'gate', 'Gate', '', 0, 1, 0);
INSERT INTO account_emails (email, account) VALUES
	('alice@example.com', 1000001), ('bob@example.com', 1000002), ('bob@old.example', 1000002);
INSERT INTO projects (name, parent, created) VALUES ('tools/build', 'All-Projects', 0), ('lib', 'Parent', 0);

-- Times are 2026-03-09 18:00, 03-08 18:00, 03-08 12:00 (submitted then), 03-01 and 02-01.
INSERT INTO changes (number, project, branch, change_id, owner, status, patch_set, subject, topic, wip, private, created, updated, submitted, submitter) VALUES
	(1, 'tools/build', 'main', 'I' || 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1000001, 'NEW', 2, 'Add main', 'big move', 0, 0, 0, 1773079200000000, 0, NULL),
	(2, 'tools/build', 'main', 'I' || 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb', 1000002, 'NEW', 1, 'Teach it', 'big move', 1, 0, 0, 1772992800000000, 0, NULL),
	(3, 'tools/build', 'stable/1.0', 'I' || 'cccccccccccccccccccccccccccccccccccccccc', 1000001, 'MERGED', 1, 'Merge it', '', 0, 0, 0, 1772971200000000, 1772971200000000, 1000001),
	(4, 'lib', 'main', 'I' || 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 1000002, 'ABANDONED', 1, 'Give up', '', 0, 0, 0, 1772323200000000, 0, NULL),
	(5, 'lib', 'main', 'I' || 'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee', 1000003, 'NEW', 1, 'Hide it', '', 0, 1, 0, 1769904000000000, 0, NULL);

INSERT INTO patch_sets (change, number, revision, tree, parents, kind, uploader, created, author_name, author_email, author_time, author_zone,
	committer_name, committer_email, committer_time, committer_zone, message, insertions, deletions) VALUES
	(1, 1, '1111111111111111111111111111111111111111', '', '00', 'REWORK', 1000001, 10, 'Alice', 'alice@example.com', 0, 0, 'Alice', 'alice@example.com', 0, 0, 'Add main', 90, 90),
	(1, 2, 'abcdef1111111111111111111111111111111111', '', '00', 'REWORK', 1000001, 20, 'Alice', 'alice@example.com', 0, 0, 'Alice', 'alice@example.com', 0, 0, 'Add main', 10, 1),
	(2, 1, '2222222222222222222222222222222222222222', '', 'abcdef1111111111111111111111111111111111', 'REWORK', 1000001, 20, 'Carol', 'carol@example.com', 0, 0, 'Alice', 'alice@example.com', 0, 0, 'Teach it' || char(10) || char(10) || 'Closes: Bug-42', 2, 1),
	(3, 1, '3333333333333333333333333333333333333333', '', '00 01', 'REWORK', 1000001, 20, 'Alice', 'alice@example.com', 0, 0, 'Alice', 'alice@example.com', 0, 0, 'Merge it', 0, 0),
	(4, 1, '4444444444444444444444444444444444444444', '', '00', 'REWORK', 1000002, 20, 'Bob', 'bob@example.com', 0, 0, 'Alice', 'alice@example.com', 0, 0, 'Give up', 0, 0),
	(5, 1, '5555555555555555555555555555555555555555', '', '00', 'REWORK', 1000003, 20, 'Gate', '', 0, 0, 'Alice', 'alice@example.com', 0, 0, 'Hide it', 0, 0);
INSERT INTO patch_set_parents (parent, change, patch_set) VALUES ('abcdef1111111111111111111111111111111111', 2, 1);
INSERT INTO files (change, patch_set, path, status, insertions, deletions) VALUES
	(1, 1, 'old.txt', 'A', 90, 90), (1, 2, 'cmd/main.go', 'A', 10, 1), (2, 1, 'README.md', 'M', 2, 1);
INSERT INTO hashtags (change, tag) VALUES (1, 'urgent');

-- Change 1 had -2 on its first patch set; only the current one counts.
INSERT INTO votes (change, patch_set, label, account, value, granted) VALUES
	(1, 1, 'Code-Review', 1000002, -2, 0), (1, 2, 'Code-Review', 1000002, 2, 0), (1, 2, 'Verified', 1000003, 1, 0),
	(2, 1, 'Code-Review', 1000002, -2, 0);
INSERT INTO reviewers (change, account, state, added) VALUES (2, 1000001, 'REVIEWER', 0), (1, 1000003, 'REVIEWER', 0), (4, 1000001, 'CC', 0);
INSERT INTO messages (id, change, patch_set, author, created, text) VALUES
	('m1', 1, 2, 1000003, 30, 'Build succeeded: unit SUCCESS'), ('m2', 2, 1, NULL, 30, 'Uploaded patch set 1.');
INSERT INTO comments (id, change, patch_set, path, side, author, updated, message, draft) VALUES
	('k1', 2, 1, 'README.md', 'REVISION', 1000002, 0, 'A nitpick', 0), ('k2', 2, 1, 'README.md', 'REVISION', 1000001, 0, 'secret', 1);
INSERT INTO stars (account, change) VALUES (1000001, 3);
