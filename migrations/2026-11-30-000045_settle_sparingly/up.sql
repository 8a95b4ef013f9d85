-- The tasks that may be unblocked now that a reservation of this lane with this ticket is gone, one
-- more than `batch` at most. From an exclusive reservation: what waits behind it up to and with the
-- lane's next waiting exclusive one. From a shared one: only that next waiting exclusive one. In SQL and without settings: so it
-- becomes a part of the statement that calls it, where a call costs more than what it asks.
CREATE OR REPLACE FUNCTION millrace_behind(lane text, gone bigint, gone_exclusive boolean, batch integer)
    RETURNS TABLE (task_id uuid, ticket bigint)
    LANGUAGE sql STABLE AS $$
    SELECT b.task_id, b.ticket
      FROM (SELECT 1) once
      LEFT JOIN LATERAL (
           SELECT v.ticket, v.task_id FROM reservation v
            WHERE v.resource = lane AND v.exclusive AND NOT v.granted AND v.ticket > gone
            ORDER BY v.ticket LIMIT 1) writer ON true
     CROSS JOIN LATERAL (
           (SELECT v.task_id, v.ticket FROM reservation v
             WHERE gone_exclusive AND v.resource = lane AND NOT v.granted AND v.ticket > gone
               AND v.ticket <= coalesce(writer.ticket, 9223372036854775807)
             ORDER BY v.ticket LIMIT batch + 1)
            UNION ALL
           (SELECT writer.task_id, writer.ticket WHERE NOT gone_exclusive AND writer.ticket IS NOT NULL)) b
     ORDER BY b.ticket
$$;
ALTER FUNCTION millrace_behind(text, bigint, boolean, integer) RESET ALL;
ALTER FUNCTION millrace_resume(integer) SET enable_bitmapscan = off;

-- Ends tasks, each `{"task", "claim", "to", "result", "error", "created"}`: lane locks, rows in the order of ids, final states,
-- reservations gone, successors unblocked. One plan for all: planning anew costs more than the statements. A row a task that was
-- ended; a row without a state for one that was not, as somebody else is busy with a lane of it: one task alone waits
-- for its lanes, of several none does, so that no task waits for a lane of another. No row for a task that is in none
-- of the states, or that another claim has. The last row has no task, but the successors of all of them. `is_held`:
-- `millrace_hold` has taken what the one task needs, in this transaction, and `created` names what it made.
CREATE OR REPLACE FUNCTION millrace_settle(
    endings jsonb, from_states text[], batch integer DEFAULT 500, is_held boolean DEFAULT false
) RETURNS TABLE (
    task_id uuid, final_state text, name text, class text, cid text, attempt integer, worker uuid,
    blocked double precision, waited double precision, ran double precision, announcements jsonb, more boolean
) LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ended uuid[];
    lanes text[];
    free uuid[];
    candidates uuid[];
    passed text[];
    passed_tickets bigint[];
    settled uuid[] := '{}';
BEGIN
    ended := ARRAY(SELECT (e ->> 'task')::uuid FROM jsonb_array_elements(endings) e);
    IF is_held THEN
        free := ended;
    ELSIF cardinality(ended) = 1 THEN
        -- What a task reserves never changes, so it may be read before anything is locked.
        SELECT t.reserved_resources_record INTO lanes FROM task t
         WHERE t.pulp_id = ended[1] AND (t.state = ANY (from_states)) IS TRUE;
        -- Nothing is locked, so nothing may be ended: it may come into one of the states in the meantime.
        IF NOT FOUND THEN RETURN; END IF;
        PERFORM millrace_lock_lanes(millrace_exclusive(lanes), millrace_shared(lanes));
        free := ended;
    ELSE
        free := millrace_try_lanes(ended, from_states);
        -- Their lanes are those of many: who waits for a row meanwhile, gives up soon, and each goes alone.
        PERFORM set_config('lock_timeout', '50ms', true);
    END IF;

    candidates := ARRAY(
        SELECT b.task_id FROM reservation own
         CROSS JOIN LATERAL millrace_behind(own.resource, own.ticket, own.exclusive, batch) b
         WHERE own.task_id = ANY (free) LIMIT batch + 1);
    more := cardinality(candidates) > batch;
    IF NOT is_held OR cardinality(candidates) > 0 THEN
        PERFORM FROM task WHERE task.pulp_id = ANY (candidates || free) ORDER BY task.pulp_id FOR UPDATE;
    END IF;

    FOR task_id, final_state, name, class, cid, attempt, worker, blocked, waited, ran IN
        UPDATE task t SET state = CASE WHEN t.state = 'canceling' THEN 'canceled' ELSE w.end_state END,
               finished_at = clock_timestamp(), claim_id = NULL, announce_no = t.announce_no + 1,
               not_before = NULL, claim_before = NULL,
               result = CASE WHEN t.state <> 'canceling' AND w.end_state = 'completed' THEN w.result END,
               error = CASE WHEN t.state <> 'canceling' THEN w.error END
          FROM (SELECT (e ->> 'task')::uuid AS id, (e ->> 'claim')::uuid AS claim, e ->> 'to' AS end_state,
                       nullif(e -> 'result', 'null') AS result, nullif(e -> 'error', 'null') AS error
                  FROM jsonb_array_elements(endings) e OFFSET 0) w
         WHERE t.pulp_id = w.id AND t.pulp_id = ANY (free) AND (t.state = ANY (from_states)) IS TRUE
           AND (w.claim IS NULL OR t.claim_id = w.claim)
        RETURNING t.pulp_id, t.state, t.name, t.class, t.logging_cid, t.attempts, t.worker_id,
               extract(epoch FROM t.unblocked_at - t.pulp_created)::double precision,
               CASE WHEN t.worker_id IS NOT NULL THEN
                    extract(epoch FROM t.started_at - t.unblocked_at)::double precision END,
               CASE WHEN t.worker_id IS NOT NULL THEN
                    extract(epoch FROM t.finished_at - t.started_at)::double precision END
    LOOP
        settled := settled || task_id;
        -- Only immediate tasks have a request that waits: commits that notify take turns in the server.
        IF class = 'immediate' THEN PERFORM pg_notify('millrace_task_final', task_id::text); END IF;
        RETURN NEXT;
    END LOOP;
    final_state := NULL; name := NULL; class := NULL; cid := NULL; attempt := NULL; worker := NULL;
    blocked := NULL; waited := NULL; ran := NULL;
    IF cardinality(free) < cardinality(ended) THEN
        FOR task_id IN SELECT t.pulp_id FROM task t
                        WHERE t.pulp_id = ANY (ended) AND t.pulp_id <> ALL (free)
                          AND (t.state = ANY (from_states)) IS TRUE LOOP
            RETURN NEXT;
        END LOOP;
    END IF;
    IF cardinality(settled) = 0 THEN RETURN; END IF;

    IF is_held THEN
        INSERT INTO created_resource (task_id, prn)
        SELECT ended[1], made.prn FROM jsonb_array_elements_text(endings -> 0 -> 'created') WITH ORDINALITY made (prn, place)
         ORDER BY made.place;
    END IF;
    -- Most have neither, and a look is cheaper than a change of nothing.
    IF EXISTS (SELECT FROM progress_report p WHERE p.task_id = ANY (settled) AND p.state IN ('waiting', 'running')) THEN
        UPDATE progress_report p SET state = t.state FROM task t
         WHERE p.task_id = ANY (settled) AND p.state IN ('waiting', 'running') AND t.pulp_id = p.task_id;
    END IF;
    IF EXISTS (SELECT FROM temporary_file f WHERE f.task_id = ANY (settled)) THEN
        WITH gone AS (DELETE FROM temporary_file f WHERE f.task_id = ANY (settled) RETURNING f.storage_key, f.size)
        INSERT INTO tombstone (storage_key, size, not_before) SELECT g.storage_key, g.size, now() FROM gone g
            ON CONFLICT DO NOTHING;
    END IF;
    IF more THEN
        INSERT INTO lane_continuation (resource, ticket)
        SELECT v.resource, min(v.ticket) FROM reservation v WHERE v.task_id = ANY (settled)
         GROUP BY v.resource ORDER BY v.resource
            ON CONFLICT (resource) DO UPDATE SET ticket = least(lane_continuation.ticket, excluded.ticket);
    END IF;
    announcements := '[]';
    IF cardinality(candidates) = 0 THEN
        DELETE FROM reservation v WHERE v.task_id = ANY (settled);
    ELSE
        -- A granted exclusive reservation was its lane's first: nothing older can be in the way there. Only lanes that
        -- a candidate is in count.
        WITH gone AS (
            DELETE FROM reservation v WHERE v.task_id = ANY (settled)
            RETURNING v.resource, v.ticket, v.exclusive AND v.granted AS was_first),
        wanted AS MATERIALIZED (
            SELECT DISTINCT c.resource FROM reservation c WHERE c.task_id = ANY (candidates))
        SELECT coalesce(array_agg(g.resource), '{}'), coalesce(array_agg(g.ticket), '{}') INTO passed, passed_tickets
          FROM (SELECT gone.resource, gone.ticket FROM gone JOIN wanted USING (resource) WHERE gone.was_first LIMIT 65) g;
        IF cardinality(passed) > 64 THEN passed := '{}'; passed_tickets := '{}'; END IF;
        announcements := millrace_promote(candidates, passed, passed_tickets);
    END IF;
    task_id := NULL;
    RETURN NEXT;
END $$;
