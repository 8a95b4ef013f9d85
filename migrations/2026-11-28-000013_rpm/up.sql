-- The task that a temporary file was left for: it goes with it. Like the rows of `task_use` it may outlive
-- the task's row for a while: a sweep removes it.
ALTER TABLE temporary_file ADD COLUMN task_id uuid;
CREATE INDEX temporary_file_task ON temporary_file (task_id) WHERE task_id IS NOT NULL;

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

-- As before; however a task ends, its temporary files are buried with its end.
CREATE OR REPLACE FUNCTION millrace_finish(ended uuid, expected_claim uuid, from_states text[], to_state text,
                                new_result jsonb, new_error jsonb, batch integer DEFAULT 500)
    RETURNS TABLE (final_state text, name text, announcements jsonb, more boolean)
    LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    t task;
    candidates uuid[];
    passed text[];
    passed_tickets bigint[];
BEGIN
    -- What a task reserves never changes, so it may be read before anything is locked.
    SELECT * INTO t FROM task WHERE task.pulp_id = ended;
    IF NOT FOUND OR NOT t.state = ANY (from_states) THEN RETURN; END IF;
    PERFORM millrace_lock_lanes(millrace_exclusive(t.reserved_resources_record),
                                millrace_shared(t.reserved_resources_record));

    candidates := ARRAY(
        SELECT b.task_id FROM reservation own
         CROSS JOIN LATERAL millrace_behind(own.resource, own.ticket, own.exclusive, batch) b
         WHERE own.task_id = ended LIMIT batch + 1);
    more := cardinality(candidates) > batch;
    PERFORM FROM task WHERE task.pulp_id = ANY (candidates || ended) ORDER BY task.pulp_id FOR UPDATE;

    SELECT * INTO t FROM task WHERE task.pulp_id = ended;
    IF NOT FOUND OR NOT t.state = ANY (from_states)
       OR (expected_claim IS NOT NULL AND t.claim_id IS DISTINCT FROM expected_claim) THEN
        RETURN;
    END IF;
    final_state := CASE WHEN t.state = 'canceling' THEN 'canceled' ELSE to_state END;
    name := t.name;
    UPDATE task SET state = final_state, finished_at = clock_timestamp(), claim_id = NULL,
           announce_no = task.announce_no + 1, not_before = NULL, claim_before = NULL,
           result = CASE WHEN final_state = 'completed' THEN new_result END,
           error = CASE WHEN t.state <> 'canceling' THEN new_error END
     WHERE task.pulp_id = ended;
    UPDATE progress_report SET state = final_state
     WHERE progress_report.task_id = ended AND progress_report.state IN ('waiting', 'running');
    WITH gone AS (DELETE FROM temporary_file f WHERE f.task_id = ended RETURNING f.storage_key, f.size)
    INSERT INTO tombstone (storage_key, size, not_before) SELECT g.storage_key, g.size, now() FROM gone g
        ON CONFLICT DO NOTHING;

    -- A granted exclusive reservation was its lane's first: nothing older can be in the way there.
    SELECT coalesce(array_agg(own.resource), '{}'), coalesce(array_agg(own.ticket), '{}')
      INTO passed, passed_tickets FROM (
        SELECT v.resource, v.ticket FROM reservation v
         WHERE v.task_id = ended AND v.exclusive AND v.granted LIMIT 17) own;
    IF cardinality(passed) > 16 THEN passed := '{}'; passed_tickets := '{}'; END IF;
    IF more THEN
        INSERT INTO lane_continuation (resource, ticket)
        SELECT v.resource, v.ticket FROM reservation v WHERE v.task_id = ended ORDER BY v.resource
            ON CONFLICT (resource) DO UPDATE SET ticket = least(lane_continuation.ticket, excluded.ticket);
    END IF;
    DELETE FROM reservation WHERE reservation.task_id = ended;
    announcements := millrace_promote(candidates, passed, passed_tickets);
    -- Only immediate tasks have a request that waits: commits that notify take turns in the server.
    IF t.class = 'immediate' THEN PERFORM pg_notify('millrace_task_final', ended::text); END IF;
    RETURN NEXT;
END $$;
