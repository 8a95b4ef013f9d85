WITH gone AS (
    DELETE FROM temporary_file WHERE pulp_id = ANY (ARRAY(
        SELECT f.pulp_id FROM temporary_file f
         WHERE f.task_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM task t WHERE t.pulp_id = f.task_id AND t.state IN ('waiting', 'running', 'canceling'))
         LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING storage_key, size)
INSERT INTO tombstone (storage_key, size, not_before) SELECT storage_key, size, now() FROM gone
    ON CONFLICT DO NOTHING
