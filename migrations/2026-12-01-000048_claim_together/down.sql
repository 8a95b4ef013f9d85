CREATE OR REPLACE FUNCTION millrace_claim(wanted uuid, wanted_name text, claim uuid, worker uuid) RETURNS TABLE (
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

DROP FUNCTION millrace_claim_together(uuid[], uuid[], uuid);
DROP FUNCTION millrace_lock_task(uuid, text);
