-- Runs end together: those that end at the same time in a process share a transaction and its statements.
--
-- Tasks are found by their ids: a plan that is kept was made for the tables of that moment, and in small ones an index of
-- states looks as good. `IS TRUE` hides a state from such an index, which is full of what has been in that state.

-- Locks lanes in one order, and bounds every wait of the transaction.
CREATE OR REPLACE FUNCTION millrace_lock_lanes(exclusive text[], shared text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'lanes are locked in READ COMMITTED only, not in %',
            current_setting('transaction_isolation') USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM set_config('lock_timeout', '5s', true),
            set_config('statement_timeout', '60s', true),
            set_config('idle_in_transaction_session_timeout', '10s', true);
    -- OFFSET 0: they are sorted before the first of them is locked.
    PERFORM CASE WHEN lane.exclusive THEN pg_advisory_xact_lock(lane.class, lane.key)
                 ELSE pg_advisory_xact_lock_shared(lane.class, lane.key) END
       FROM (SELECT l.class, l.key, bool_or(l.exclusive) AS exclusive
               FROM (SELECT millrace_lane_class(r) AS class, millrace_lane_key(r) AS key, true AS exclusive
                       FROM unnest(exclusive) r
                      UNION ALL
                     SELECT millrace_lane_class(r), millrace_lane_key(r), false FROM unnest(shared) r) l
              GROUP BY l.class, l.key
              ORDER BY l.class, l.key OFFSET 0) lane;
END $$;

-- In a language that keeps its plans: a function in SQL that is not part of its caller is planned at each call.
CREATE OR REPLACE FUNCTION millrace_exclusive(record text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN ARRAY(SELECT r FROM unnest(record) r WHERE r NOT LIKE 'shared:%');
END $$;
CREATE OR REPLACE FUNCTION millrace_shared(record text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN ARRAY(SELECT substr(r, 8) FROM unnest(record) r WHERE r LIKE 'shared:%');
END $$;

-- Takes what a run with a last write needs: its lanes and those of what it dispatches, then its row. Gives its state;
-- NULL where it is not that run's any more.
CREATE OR REPLACE FUNCTION millrace_hold(held uuid, expected_claim uuid, exclusive text[], shared text[]) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    lanes text[];
    held_state text;
BEGIN
    SELECT t.reserved_resources_record INTO lanes FROM task t WHERE t.pulp_id = held;
    IF NOT FOUND THEN RETURN NULL; END IF;
    PERFORM millrace_lock_lanes(millrace_exclusive(lanes) || exclusive, millrace_shared(lanes) || shared);
    SELECT t.state INTO held_state FROM task t
     WHERE t.pulp_id = held AND t.claim_id = expected_claim AND t.state IN ('running', 'canceling') FOR UPDATE;
    RETURN held_state;
END $$;

-- Those of these tasks that are in one of the states, and of which all lanes could be locked without waiting. One of
-- many resources is left to a transaction of its own. Lanes that were locked before a busy one stay locked until the commit.
CREATE FUNCTION millrace_try_lanes(wanted uuid[], states text[]) RETURNS uuid[] LANGUAGE plpgsql
SET enable_seqscan = off AS $$
DECLARE
    t record;
    r text;
    is_free boolean;
    free uuid[] := '{}';
BEGIN
    -- Locks nothing: sets the time limits, and refuses other isolation levels.
    PERFORM millrace_lock_lanes('{}', '{}');
    FOR t IN SELECT task.pulp_id, task.reserved_resources_record AS lanes FROM task
              WHERE task.pulp_id = ANY (wanted) AND (task.state = ANY (states)) IS TRUE
                AND cardinality(task.reserved_resources_record) <= 64
    LOOP
        is_free := true;
        FOREACH r IN ARRAY t.lanes LOOP
            IF r LIKE 'shared:%' THEN
                r := substr(r, 8);
                is_free := pg_try_advisory_xact_lock_shared(millrace_lane_class(r), millrace_lane_key(r));
            ELSE
                is_free := pg_try_advisory_xact_lock(millrace_lane_class(r), millrace_lane_key(r));
            END IF;
            EXIT WHEN NOT is_free;
        END LOOP;
        IF is_free THEN free := free || t.pulp_id; END IF;
    END LOOP;
    RETURN free;
END $$;

-- Ends tasks, each `{"task", "claim", "to", "result", "error", "created"}`: lane locks, rows in the order of ids, final states,
-- reservations gone, successors unblocked. One plan for all: planning anew costs more than the statements. A row a task that was
-- ended; a row without a state for one that was not, as somebody else is busy with a lane of it: one task alone waits
-- for its lanes, of several none does, so that no task waits for a lane of another. No row for a task that is in none
-- of the states, or that another claim has. The last row has no task, but the successors of all of them. `is_held`:
-- `millrace_hold` has taken what the one task needs, in this transaction, and `created` names what it made.
CREATE FUNCTION millrace_settle(
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
    PERFORM FROM task WHERE task.pulp_id = ANY (candidates || free) ORDER BY task.pulp_id FOR UPDATE;

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
    UPDATE progress_report p SET state = t.state FROM task t
     WHERE p.task_id = ANY (settled) AND p.state IN ('waiting', 'running') AND t.pulp_id = p.task_id;
    WITH gone AS (DELETE FROM temporary_file f WHERE f.task_id = ANY (settled) RETURNING f.storage_key, f.size)
    INSERT INTO tombstone (storage_key, size, not_before) SELECT g.storage_key, g.size, now() FROM gone g
        ON CONFLICT DO NOTHING;
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

-- Unblocks candidates that nothing stands in front of any more; they are found by their ids whatever the statistics say of those that wait.
CREATE OR REPLACE FUNCTION millrace_promote(candidates uuid[], passed text[], passed_tickets bigint[]) RETURNS jsonb
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off AS $$
DECLARE
    ready uuid[];
    announcements jsonb;
BEGIN
    IF cardinality(candidates) = 0 THEN RETURN '[]'; END IF;
    PERFORM FROM task WHERE task.pulp_id = ANY (candidates) ORDER BY task.pulp_id FOR UPDATE;
    ready := ARRAY(
        SELECT c.pulp_id
          FROM (SELECT t.pulp_id, t.state, t.unblocked_at FROM task t WHERE t.pulp_id = ANY (candidates) OFFSET 0) c
         WHERE c.state = 'waiting' AND c.unblocked_at IS NULL
           AND NOT EXISTS (
               SELECT FROM reservation own
                 LEFT JOIN unnest(passed, passed_tickets) p(resource, ticket) ON p.resource = own.resource
                CROSS JOIN LATERAL (
                   SELECT FROM reservation e
                    WHERE e.resource = own.resource AND e.ticket < own.ticket AND e.ticket > coalesce(p.ticket, 0)
                    ORDER BY e.ticket DESC LIMIT 1) earlier
                WHERE own.task_id = c.pulp_id AND own.exclusive)
           AND NOT EXISTS (
               SELECT FROM reservation own
                 LEFT JOIN unnest(passed, passed_tickets) p(resource, ticket) ON p.resource = own.resource
                CROSS JOIN LATERAL (
                   SELECT FROM reservation e
                    WHERE e.resource = own.resource AND e.exclusive AND e.ticket < own.ticket
                      AND e.ticket > coalesce(p.ticket, 0)
                    ORDER BY e.ticket DESC LIMIT 1) earlier
                WHERE own.task_id = c.pulp_id AND NOT own.exclusive));
    IF cardinality(ready) = 0 THEN RETURN '[]'; END IF;
    UPDATE reservation SET granted = true WHERE task_id = ANY (ready);
    WITH moved AS (
        UPDATE task t SET unblocked_at = clock_timestamp() WHERE t.pulp_id = ANY (ready) RETURNING t.*)
    SELECT jsonb_agg(millrace_announcement(m::task) ORDER BY m.ticket) INTO announcements FROM moved m;
    RETURN announcements;
END $$;

-- Claims a task for this session, all of its locks or none, and gives what log lines and metrics say of a claim.
DROP FUNCTION millrace_claim(uuid, text, uuid, uuid);
CREATE FUNCTION millrace_claim(wanted uuid, wanted_name text, claim uuid, worker uuid) RETURNS TABLE (
    outcome text, state text, enc_args text, attempt integer, waited_ms bigint, logging_cid text, created_by integer,
    pulp_domain uuid, task_group uuid, lock_count integer, blocked_seconds double precision, reserved text[]
) LANGUAGE plpgsql
SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    t record;
    r text;
    needed integer;
    units integer;
    held integer := 0;
    unit integer;
    held_by uuid;
    is_locked boolean;
BEGIN
    SELECT task.name, task.state, task.class, task.unblocked_at, task.not_before, task.claim_before,
           task.reserved_resources_record AS lanes
      INTO t FROM task WHERE task.pulp_id = wanted;
    state := t.state;
    IF NOT FOUND OR t.name <> wanted_name THEN outcome := 'gone'; RETURN NEXT; RETURN; END IF;
    IF t.state <> 'waiting' OR t.unblocked_at IS NULL THEN outcome := 'stale'; RETURN NEXT; RETURN; END IF;
    IF t.not_before > clock_timestamp() THEN outcome := 'early'; RETURN NEXT; RETURN; END IF;
    IF t.claim_before < clock_timestamp() THEN outcome := 'expired'; RETURN NEXT; RETURN; END IF;

    -- Mostly nothing is paused: then this is a look at an empty table.
    IF EXISTS (SELECT FROM pause) THEN
        -- The lock of the row says who is first, this claim or the end of the pause: whoever ends it waits for this
        -- commit and then finds the task held, or this statement waits for him and finds no pause.
        SELECT p.pulp_id INTO held_by FROM pause p
         WHERE (p.kind = 'task' AND p.name = t.name)
            OR (p.kind = 'resource' AND p.name = ANY (millrace_exclusive(t.lanes) || millrace_shared(t.lanes)))
         LIMIT 1 FOR KEY SHARE;
        IF FOUND THEN
            UPDATE task SET not_before = 'infinity', pause_id = held_by, announced_at = NULL,
                   announce_no = task.announce_no + 1, announce_after = NULL
             WHERE task.pulp_id = wanted AND task.state = 'waiting' AND task.unblocked_at IS NOT NULL;
            -- A request that waits for it need not wait on.
            IF t.class = 'immediate' THEN PERFORM pg_notify('millrace_task_final', wanted::text); END IF;
            outcome := 'paused'; RETURN NEXT; RETURN;
        END IF;
    END IF;

    IF cardinality(t.lanes) > 256 THEN
        -- The task holds its own lock and its resources' while it settles, and then lane locks too.
        needed := 1 + cardinality(t.lanes) + (
            SELECT count(DISTINCT (millrace_lane_class(n.lane), millrace_lane_key(n.lane)))
              FROM unnest(millrace_exclusive(t.lanes) || millrace_shared(t.lanes)) n(lane));
        lock_count := needed;
        -- Half of the lock table, in units of 500 locks; the other half is everybody else's.
        units := current_setting('max_locks_per_transaction')::integer
            * (current_setting('max_connections')::integer
               + current_setting('max_prepared_transactions')::integer) / 1000;
        IF units * 500 < needed THEN outcome := 'oversized'; RETURN NEXT; RETURN; END IF;
        -- One at a time: two that gather side by side may each end with too few, time and again.
        PERFORM pg_advisory_lock(7113, 0);
        FOR unit IN 1..units LOOP
            EXIT WHEN held * 500 >= needed;
            IF pg_try_advisory_lock(7113, unit) THEN held := held + 1; END IF;
        END LOOP;
        PERFORM pg_advisory_unlock(7113, 0);
        IF held * 500 < needed THEN
            PERFORM pg_advisory_unlock_all();
            outcome := 'full'; RETURN NEXT; RETURN;
        END IF;
    END IF;

    is_locked := pg_try_advisory_lock(millrace_task_key(wanted));
    IF is_locked THEN
        FOREACH r IN ARRAY t.lanes LOOP
            IF r LIKE 'shared:%' THEN
                is_locked := pg_try_advisory_lock_shared(millrace_resource_key(substr(r, 8)));
            ELSE
                is_locked := pg_try_advisory_lock(millrace_resource_key(r));
            END IF;
            EXIT WHEN NOT is_locked;
        END LOOP;
    END IF;
    IF NOT is_locked THEN
        PERFORM pg_advisory_unlock_all();
        outcome := 'refused'; RETURN NEXT; RETURN;
    END IF;

    UPDATE task SET state = 'running', started_at = clock_timestamp(), claim_id = claim, worker_id = worker,
           attempts = task.attempts + 1, announce_no = task.announce_no + 1, announced_at = NULL,
           announce_after = NULL, not_before = NULL, claim_before = NULL, pause_id = NULL
     WHERE task.pulp_id = wanted AND (task.state = 'waiting') IS TRUE AND task.unblocked_at IS NOT NULL
    RETURNING task.state, task.enc_args, task.attempts,
           (extract(epoch FROM task.started_at - task.unblocked_at) * 1000)::bigint, task.logging_cid, task.created_by,
           task.pulp_domain, task.task_group, extract(epoch FROM task.unblocked_at - task.pulp_created)::double precision
      INTO state, enc_args, attempt, waited_ms, logging_cid, created_by, pulp_domain, task_group, blocked_seconds;
    IF NOT FOUND THEN
        PERFORM pg_advisory_unlock_all();
        outcome := 'stale'; RETURN NEXT; RETURN;
    END IF;
    outcome := 'claimed';
    reserved := t.lanes;
    RETURN NEXT;
END $$;

-- Called by programs of the release before.
CREATE OR REPLACE FUNCTION millrace_finish(
    ended uuid, expected_claim uuid, from_states text[], to_state text, new_result jsonb, new_error jsonb,
    batch integer DEFAULT 500
) RETURNS TABLE (final_state text, name text, announcements jsonb, more boolean) LANGUAGE sql AS $$
    SELECT min(s.final_state), min(s.name), (array_agg(s.announcements) FILTER (WHERE s.task_id IS NULL))[1], bool_or(s.more)
      FROM millrace_settle(jsonb_build_array(jsonb_build_object(
               'task', ended, 'claim', expected_claim, 'to', to_state, 'result', new_result, 'error', new_error)),
               from_states, batch) s
    HAVING count(*) > 0 $$;
ALTER FUNCTION millrace_finish RESET ALL;
