DROP VIEW lane;

CREATE OR REPLACE FUNCTION millrace_claim(wanted uuid, wanted_name text, claim uuid, worker uuid)
    RETURNS TABLE (outcome text, state text, enc_args text, attempt integer, waited_ms bigint,
                   logging_cid text, created_by integer, pulp_domain uuid, task_group uuid, lock_count integer)
    LANGUAGE plpgsql
    SET enable_seqscan = off AS $$
DECLARE
    t task;
    exclusive text[];
    shared text[];
    r text;
    needed integer;
    units integer;
    held integer := 0;
    unit integer;
BEGIN
    SELECT * INTO t FROM task WHERE task.pulp_id = wanted;
    state := t.state;
    IF NOT FOUND OR t.name <> wanted_name THEN outcome := 'gone'; RETURN NEXT; RETURN; END IF;
    IF t.state <> 'waiting' OR t.unblocked_at IS NULL THEN outcome := 'stale'; RETURN NEXT; RETURN; END IF;
    IF t.not_before > clock_timestamp() THEN outcome := 'early'; RETURN NEXT; RETURN; END IF;
    IF t.claim_before < clock_timestamp() THEN outcome := 'expired'; RETURN NEXT; RETURN; END IF;
    exclusive := millrace_exclusive(t.reserved_resources_record);
    shared := millrace_shared(t.reserved_resources_record);

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
           announce_after = NULL, not_before = NULL, claim_before = NULL
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

-- Nobody releases them any more.
UPDATE task SET not_before = NULL WHERE state = 'waiting' AND not_before = 'infinity';
ALTER TABLE task DROP COLUMN pause_id;
DROP TABLE pause;
