-- Notes what tasks are going to use, keeps it until the commit, and dispatches them; a temporary file among the objects becomes
-- its task's, unless it is another one's. Up to 100 objects, as of a small change, go in plain statements: a plan with CTEs takes
-- longer to begin than to run. More are joined, as `= ANY (kept)` compares each with all.
CREATE OR REPLACE FUNCTION millrace_dispatch(tasks jsonb, users uuid[], objects uuid[])
    RETURNS TABLE (pulp_id uuid, ticket bigint, pulp_created timestamptz, state text, announcement jsonb)
    LANGUAGE plpgsql AS $$
DECLARE
    kept uuid[];
BEGIN
    IF cardinality(objects) <= 100 THEN
        kept := ARRAY(SELECT c.pulp_id FROM content c WHERE c.pulp_id = ANY (objects) ORDER BY c.pulp_id FOR KEY SHARE);
        kept := kept || ARRAY(
            SELECT a.pulp_id FROM artifact a WHERE a.pulp_id = ANY (objects) ORDER BY a.pulp_id FOR KEY SHARE);
        INSERT INTO task_use (task_id, object_id)
        SELECT u.task_id, u.object_id FROM unnest(users, objects) AS u(task_id, object_id)
         WHERE u.object_id = ANY (kept)
            ON CONFLICT DO NOTHING;
    ELSE
        WITH unit AS (
            SELECT c.pulp_id FROM content c WHERE c.pulp_id = ANY (objects) ORDER BY c.pulp_id FOR KEY SHARE),
        file AS (
            SELECT a.pulp_id FROM artifact a WHERE a.pulp_id = ANY (objects) ORDER BY a.pulp_id FOR KEY SHARE)
        INSERT INTO task_use (task_id, object_id)
        SELECT u.task_id, u.object_id FROM unnest(users, objects) AS u(task_id, object_id)
         WHERE u.object_id IN (SELECT unit.pulp_id FROM unit UNION ALL SELECT file.pulp_id FROM file)
            ON CONFLICT DO NOTHING;
    END IF;
    -- Most have none, and a look is cheaper than an UPDATE of nothing.
    IF EXISTS (SELECT FROM temporary_file f WHERE f.pulp_id = ANY (objects) AND f.task_id IS NULL) THEN
        UPDATE temporary_file f SET task_id = u.task_id
          FROM unnest(users, objects) AS u(task_id, object_id)
         WHERE f.pulp_id = u.object_id AND f.task_id IS NULL;
    END IF;
    RETURN QUERY SELECT * FROM millrace_dispatch(tasks);
END $$;
