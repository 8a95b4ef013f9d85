-- What an incomplete task is going to use by its id: orphan clean-up leaves it alone, whatever protection
-- time it is given, however long the task waits. Rows of tasks that have ended mean nothing any more and
-- are removed by the sweep: a settle has no part in it.
CREATE TABLE task_use (
    object_id uuid NOT NULL,
    task_id uuid NOT NULL,
    PRIMARY KEY (object_id, task_id)
);

CREATE VIEW used_object AS
    SELECT u.object_id FROM task_use u JOIN task t ON t.pulp_id = u.task_id
     WHERE t.state IN ('waiting', 'running', 'canceling');

-- Dispatch of tasks that use units and artifacts, a pair an object; ids that are neither are left out. It
-- waits for a clean-up that is about to delete one of them, and before the lane locks are taken: whoever
-- holds those waits for nothing else. FOR KEY SHARE: a clean-up locks what it deletes FOR UPDATE, skips
-- what is locked, and looks again.
CREATE FUNCTION millrace_dispatch(tasks jsonb, users uuid[], objects uuid[])
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
    RETURN QUERY SELECT * FROM millrace_dispatch(tasks);
END $$;

-- A repository that is a part of a unit (a variant inside a distribution tree) goes with that unit.
ALTER TABLE repository ADD COLUMN part_of uuid REFERENCES content ON DELETE CASCADE;
CREATE INDEX repository_part_of ON repository (part_of) WHERE part_of IS NOT NULL;

-- By the moment when a task is due to be announced (again): those that are put off are not walked over.
DROP INDEX task_unannounced;
CREATE INDEX task_unannounced ON task (greatest(unblocked_at, not_before, announce_after))
    WHERE state = 'waiting' AND unblocked_at IS NOT NULL AND announced_at IS NULL;
