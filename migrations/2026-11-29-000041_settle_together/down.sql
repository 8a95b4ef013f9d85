CREATE OR REPLACE FUNCTION millrace_finish(ended uuid, expected_claim uuid, from_states text[], to_state text, new_result jsonb, new_error jsonb, batch integer DEFAULT 500)
 RETURNS TABLE(final_state text, name text, announcements jsonb, more boolean)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
AS $$
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
DROP FUNCTION millrace_settle(jsonb, text[], integer, boolean);
DROP FUNCTION millrace_try_lanes(uuid[], text[]);
CREATE OR REPLACE FUNCTION millrace_promote(candidates uuid[], passed text[], passed_tickets bigint[])
 RETURNS jsonb
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
AS $$
DECLARE
    ready uuid[];
    announcements jsonb;
BEGIN
    IF cardinality(candidates) = 0 THEN RETURN '[]'; END IF;
    PERFORM FROM task WHERE task.pulp_id = ANY (candidates) AND state = 'waiting' AND unblocked_at IS NULL
      ORDER BY task.pulp_id FOR UPDATE;
    ready := ARRAY(
        SELECT c.pulp_id FROM task c
         WHERE c.pulp_id = ANY (candidates) AND c.state = 'waiting' AND c.unblocked_at IS NULL
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
CREATE OR REPLACE FUNCTION millrace_lock_lanes(exclusive text[], shared text[])
 RETURNS void
 LANGUAGE plpgsql
AS $$
DECLARE
    lane record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'lanes are locked in READ COMMITTED only, not in %',
            current_setting('transaction_isolation') USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM set_config('lock_timeout', '5s', true),
            set_config('statement_timeout', '60s', true),
            set_config('idle_in_transaction_session_timeout', '10s', true);
    FOR lane IN
        SELECT l.class, l.key, bool_or(l.exclusive) AS exclusive
          FROM (SELECT millrace_lane_class(r) AS class, millrace_lane_key(r) AS key, true AS exclusive
                  FROM unnest(exclusive) r
                 UNION ALL
                SELECT millrace_lane_class(r), millrace_lane_key(r), false FROM unnest(shared) r) l
         GROUP BY l.class, l.key
         ORDER BY l.class, l.key
    LOOP
        IF lane.exclusive THEN
            PERFORM pg_advisory_xact_lock(lane.class, lane.key);
        ELSE
            PERFORM pg_advisory_xact_lock_shared(lane.class, lane.key);
        END IF;
    END LOOP;
END $$;
DROP FUNCTION millrace_claim(uuid, text, uuid, uuid);
CREATE OR REPLACE FUNCTION millrace_claim(wanted uuid, wanted_name text, claim uuid, worker uuid)
 RETURNS TABLE(outcome text, state text, enc_args text, attempt integer, waited_ms bigint, logging_cid text, created_by integer, pulp_domain uuid, task_group uuid, lock_count integer)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $$
DECLARE
    t task;
    exclusive text[];
    shared text[];
    r text;
    needed integer;
    units integer;
    held integer := 0;
    unit integer;
    held_by uuid;
BEGIN
    SELECT * INTO t FROM task WHERE task.pulp_id = wanted;
    state := t.state;
    IF NOT FOUND OR t.name <> wanted_name THEN outcome := 'gone'; RETURN NEXT; RETURN; END IF;
    IF t.state <> 'waiting' OR t.unblocked_at IS NULL THEN outcome := 'stale'; RETURN NEXT; RETURN; END IF;
    IF t.not_before > clock_timestamp() THEN outcome := 'early'; RETURN NEXT; RETURN; END IF;
    IF t.claim_before < clock_timestamp() THEN outcome := 'expired'; RETURN NEXT; RETURN; END IF;
    exclusive := millrace_exclusive(t.reserved_resources_record);
    shared := millrace_shared(t.reserved_resources_record);

    -- Mostly nothing is paused: then this is a look at an empty table.
    IF EXISTS (SELECT FROM pause) THEN
        -- The lock of the row says who is first, this claim or the end of the pause: whoever ends it waits for this
        -- commit and then finds the task held, or this statement waits for him and finds no pause.
        SELECT p.pulp_id INTO held_by FROM pause p
         WHERE (p.kind = 'task' AND p.name = t.name)
            OR (p.kind = 'resource' AND p.name = ANY (exclusive || shared))
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

    IF cardinality(t.reserved_resources_record) > 256 THEN
        -- The task holds its own lock and its resources' while it settles, and then lane locks too.
        needed := 1 + cardinality(t.reserved_resources_record) + (
            SELECT count(DISTINCT (millrace_lane_class(n.lane), millrace_lane_key(n.lane)))
              FROM unnest(exclusive || shared) n(lane));
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

    IF NOT pg_try_advisory_lock(millrace_task_key(wanted)) THEN
        PERFORM pg_advisory_unlock_all();
        outcome := 'refused'; RETURN NEXT; RETURN;
    END IF;
    FOREACH r IN ARRAY exclusive LOOP
        IF NOT pg_try_advisory_lock(millrace_resource_key(r)) THEN
            PERFORM pg_advisory_unlock_all();
            outcome := 'refused'; RETURN NEXT; RETURN;
        END IF;
    END LOOP;
    FOREACH r IN ARRAY shared LOOP
        IF NOT pg_try_advisory_lock_shared(millrace_resource_key(r)) THEN
            PERFORM pg_advisory_unlock_all();
            outcome := 'refused'; RETURN NEXT; RETURN;
        END IF;
    END LOOP;

    UPDATE task SET state = 'running', started_at = clock_timestamp(), claim_id = claim, worker_id = worker,
           attempts = task.attempts + 1, announce_no = task.announce_no + 1, announced_at = NULL,
           announce_after = NULL, not_before = NULL, claim_before = NULL, pause_id = NULL
     WHERE task.pulp_id = wanted AND task.state = 'waiting' AND task.unblocked_at IS NOT NULL
    RETURNING * INTO t;
    IF NOT FOUND THEN
        PERFORM pg_advisory_unlock_all();
        outcome := 'stale'; RETURN NEXT; RETURN;
    END IF;
    outcome := 'claimed';
    state := t.state;
    enc_args := t.enc_args;
    attempt := t.attempts;
    waited_ms := (extract(epoch FROM t.started_at - t.unblocked_at) * 1000)::bigint;
    logging_cid := t.logging_cid;
    created_by := t.created_by;
    pulp_domain := t.pulp_domain;
    task_group := t.task_group;
    RETURN NEXT;
END $$;
CREATE OR REPLACE FUNCTION millrace_exclusive(record text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(r), '{}') FROM unnest(record) r WHERE r NOT LIKE 'shared:%' $$;
CREATE OR REPLACE FUNCTION millrace_shared(record text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(substr(r, 8)), '{}') FROM unnest(record) r WHERE r LIKE 'shared:%' $$;
CREATE OR REPLACE FUNCTION millrace_hold(held uuid, expected_claim uuid, exclusive text[], shared text[]) RETURNS text
    LANGUAGE plpgsql AS $$
DECLARE
    t task;
BEGIN
    SELECT * INTO t FROM task WHERE pulp_id = held;
    IF NOT FOUND THEN RETURN NULL; END IF;
    PERFORM millrace_lock_lanes(millrace_exclusive(t.reserved_resources_record) || exclusive,
                                millrace_shared(t.reserved_resources_record) || shared);
    SELECT * INTO t FROM task
     WHERE pulp_id = held AND claim_id = expected_claim AND state IN ('running', 'canceling') FOR UPDATE;
    RETURN t.state;
END $$;
