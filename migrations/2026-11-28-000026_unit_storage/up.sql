-- Where on a file system a unit lies that a Pulp 2 kept: a file, a directory or a link. No key leads to the
-- unit: to look here for each unit that a clean-up deletes would cost it more than the one look of the trigger below.
CREATE TABLE unit_storage (
    content_id uuid PRIMARY KEY,
    -- As it came, and as clients see it.
    path text NOT NULL,
    -- The same without empty and `.` segments: units share what lies there when they have the same.
    place text NOT NULL GENERATED ALWAYS AS (
        regexp_replace(regexp_replace(path, '/(\.?/)+', '/', 'g'), '(?<=.)/\.?$', '')) STORED
);
-- Paths may be longer than an index entry.
CREATE INDEX unit_storage_place ON unit_storage (left(place, 600) COLLATE "C");

-- What units that are gone have left there, to be removed once no other unit names it.
CREATE TABLE unit_tombstone (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    path text NOT NULL,
    buried timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The task that deleted the unit.
    buried_by uuid,
    tries integer NOT NULL DEFAULT 0,
    not_before timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX unit_tombstone_due ON unit_tombstone (not_before);
CREATE INDEX unit_tombstone_buried_by ON unit_tombstone (buried_by, id) WHERE buried_by IS NOT NULL;

-- However a unit goes, what it has stored is noted with that. A task that says who it is (`millrace.task`) has a
-- minute to remove it. Planner switches: a plan that was made while the table was small would stay when it is large.
CREATE FUNCTION millrace_bury_unit_storage() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    WITH stored AS (
        DELETE FROM unit_storage s USING gone WHERE s.content_id = gone.pulp_id RETURNING s.place),
    by AS (SELECT nullif(current_setting('millrace.task', true), '')::uuid AS task)
    INSERT INTO unit_tombstone (path, buried_by, not_before)
    SELECT stored.place, by.task, now() + CASE WHEN by.task IS NULL THEN interval '0' ELSE interval '1 min' END
      FROM stored, by;
    RETURN NULL;
END $$;
CREATE TRIGGER bury_unit_storage AFTER DELETE ON content REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION millrace_bury_unit_storage();
