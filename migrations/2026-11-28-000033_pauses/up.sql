-- What is not to start for now: tasks that reserve a resource in either way, or tasks of a name.
CREATE TABLE pause (
    pulp_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('resource', 'task')),
    name text NOT NULL,
    reason text NOT NULL DEFAULT '',
    -- Who asked for it, as he was called then; null: a command of the machine.
    paused_by text,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (kind, name)
);
CREATE INDEX pause_since ON pause (since DESC, pulp_id DESC);

-- The pause that a waiting task was found under when it was to be claimed; `not_before` is 'infinity' as long. Means
-- nothing in other states. No foreign key: a pause ends at once, and what it held is released in batches.
ALTER TABLE task ADD COLUMN pause_id uuid;

-- As before, and `paused`: the task, or one of its resources, is paused. It is held until the pause has ended.
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

-- The lanes in which somebody is. Those who hold a resource are few, however many wait.
CREATE VIEW lane AS
SELECT busy.resource,
       CASE WHEN held.holders IS NULL THEN 'idle' WHEN held.exclusive THEN 'exclusive' ELSE 'shared' END AS mode,
       coalesce(held.holders, 0) AS holders,
       busy.reservations - coalesce(held.holders, 0) AS waiting,
       pause.pulp_id IS NOT NULL AS paused,
       pause.reason AS pause_reason
  FROM (SELECT v.resource, count(*) AS reservations FROM reservation v GROUP BY v.resource) busy
  LEFT JOIN (
      SELECT v.resource, count(*) AS holders, bool_or(v.exclusive) AS exclusive
        FROM task t JOIN reservation v ON v.task_id = t.pulp_id
       WHERE t.state IN ('running', 'canceling') GROUP BY v.resource) held ON held.resource = busy.resource
  LEFT JOIN pause ON pause.kind = 'resource' AND pause.name = busy.resource;
