-- +goose Up

-- Where an account comes from: '' if it was made here (create-account), else
-- 'user:' and the id of its user where passwords are kept. 'user:' alone stands
-- for an account of which the id is not known yet.
ALTER TABLE accounts ADD COLUMN origin TEXT NOT NULL DEFAULT '';

-- Only users who came from there were ever given a group.
UPDATE accounts SET origin = 'user:' WHERE admin = 1 OR service = 1;
