-- As before; a temporary file among the objects becomes the task's, unless it is another one's.
CREATE OR REPLACE FUNCTION millrace_dispatch(tasks jsonb, users uuid[], objects uuid[])
    RETURNS TABLE (pulp_id uuid, ticket bigint, pulp_created timestamptz, state text, announcement jsonb)
    LANGUAGE plpgsql AS $$
BEGIN
    WITH unit AS (
        SELECT c.pulp_id FROM content c WHERE c.pulp_id = ANY (objects) ORDER BY c.pulp_id FOR KEY SHARE),
    file AS (
        SELECT a.pulp_id FROM artifact a WHERE a.pulp_id = ANY (objects) ORDER BY a.pulp_id FOR KEY SHARE)
    INSERT INTO task_use (task_id, object_id)
    SELECT u.task_id, u.object_id FROM unnest(users, objects) AS u(task_id, object_id)
     WHERE u.object_id IN (SELECT unit.pulp_id FROM unit UNION ALL SELECT file.pulp_id FROM file)
        ON CONFLICT DO NOTHING;
    UPDATE temporary_file f SET task_id = u.task_id
      FROM unnest(users, objects) AS u(task_id, object_id)
     WHERE f.pulp_id = u.object_id AND f.task_id IS NULL;
    RETURN QUERY SELECT * FROM millrace_dispatch(tasks);
END $$;
