-- What the planner knows of an expression by a partial index, it does not use: without these, a path or a
-- digest is taken for that of five in a thousand units, and a version's memberships are all read first.
CREATE STATISTICS content_file_path_values ON (fields ->> 'relative_path') FROM content;
CREATE STATISTICS content_file_digest_values ON (fields ->> 'digest') FROM content;
-- An empty table is left alone: once it was looked at, it would be taken for one of a single page.
DO $$ BEGIN
    IF EXISTS (SELECT FROM content) THEN
        ANALYZE content;
    END IF;
END $$;
