-- The engine's steps that must not be interleaved, each one round trip. In READ COMMITTED every
-- statement of a PL/pgSQL function sees its own snapshot, so "lock, then look" holds inside a
-- function as it does between statements. Planner switches: the tables of a queue swing between
-- empty and huge faster than statistics follow, and a cached plan with a sequential scan would stay.

-- keys:
-- 64-bit keys, a namespace each; a collision costs waiting, never exclusion.
CREATE FUNCTION millrace_resource_key(resource text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT hashtextextended(resource, 7101) $$;
CREATE FUNCTION millrace_task_key(task uuid) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT hashtextextended(task::text, 7102) $$;
CREATE FUNCTION millrace_process_key(process uuid) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT hashtextextended(process::text, 7103) $$;

-- Lane locks live in the two-integer key space, apart from the keys above: class 7111 holds lanes
-- that nearly every task names, each with a key of its own, class 7112 the 1,024 buckets of all others.
CREATE FUNCTION millrace_lane_class(resource text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN resource LIKE 'prn:core.domain:%' OR resource LIKE 'pdrn:%' THEN 7111 ELSE 7112 END $$;
CREATE FUNCTION millrace_lane_key(resource text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN resource LIKE 'prn:core.domain:%' OR resource LIKE 'pdrn:%' THEN hashtext(resource)
                ELSE (hashtextextended(resource, 7112) & 1023)::integer END $$;

CREATE FUNCTION millrace_exclusive(record text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(r), '{}') FROM unnest(record) r WHERE r NOT LIKE 'shared:%' $$;
CREATE FUNCTION millrace_shared(record text[]) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(substr(r, 8)), '{}') FROM unnest(record) r WHERE r LIKE 'shared:%' $$;

-- lanes:
-- Takes the lane locks of these resources until the transaction ends: distinct keys, the stronger
-- mode, in numerical order. Also bounds what a hung process can do to a lane.
-- Replaced by 000006.
CREATE FUNCTION millrace_lock_lanes(exclusive text[], shared text[]) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    lane record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'lanes are locked in READ COMMITTED only, not in %',
            current_setting('transaction_isolation') USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM set_config('lock_timeout', '10s', true),
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

-- What a message about a task says, as one JSON object.
-- Replaced by 000006.
CREATE FUNCTION millrace_announcement(t task) RETURNS jsonb
    LANGUAGE sql VOLATILE AS $$
    SELECT jsonb_build_object(
        'id', t.pulp_id, 'name', t.name, 'class', t.class, 'ticket', t.ticket, 'number', t.announce_no,
        'attempt', t.attempts + 1, 'versions', t.versions, 'cid', t.logging_cid, 'at', clock_timestamp(),
        'resource_count', cardinality(t.reserved_resources_record),
        'resources', t.reserved_resources_record[1:200]) $$;

-- dispatch:
-- Records tasks and their reservations, in the given order. The lane locks of all of them must be
-- the last locks that the transaction takes: nothing may follow but its commit.
--
-- `tasks`: array of objects with the fields of the record below. One row a task comes back.
CREATE FUNCTION millrace_dispatch(tasks jsonb)
    RETURNS TABLE (pulp_id uuid, ticket bigint, pulp_created timestamptz, state text, announcement jsonb)
    LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    new record;
    stored task;
    drawn bigint;
    stamp timestamptz;
    blocked boolean;
BEGIN
    PERFORM millrace_lock_lanes(
        (SELECT coalesce(array_agg(DISTINCT r), '{}') FROM jsonb_array_elements(tasks) t,
                jsonb_array_elements_text(t -> 'exclusive') r),
        (SELECT coalesce(array_agg(DISTINCT r), '{}') FROM jsonb_array_elements(tasks) t,
                jsonb_array_elements_text(t -> 'shared') r));
    FOR new IN
        SELECT * FROM jsonb_to_recordset(tasks) AS t(
            id uuid, domain uuid, name text, class text, cid text, created_by integer, enc_args text,
            parent_task uuid, task_group uuid, exclusive text[], shared text[], versions jsonb,
            immediate boolean, deferred boolean, rerun_after_loss boolean)
    LOOP
        drawn := nextval('task_ticket');
        blocked := EXISTS (
            SELECT FROM unnest(new.exclusive) r CROSS JOIN LATERAL (
                SELECT FROM reservation e WHERE e.resource = r AND e.ticket < drawn
                 ORDER BY e.ticket DESC LIMIT 1) x
        ) OR EXISTS (
            SELECT FROM unnest(new.shared) r CROSS JOIN LATERAL (
                SELECT FROM reservation e WHERE e.resource = r AND e.exclusive AND e.ticket < drawn
                 ORDER BY e.ticket DESC LIMIT 1) x
        );
        stamp := clock_timestamp();
        INSERT INTO task (pulp_id, pulp_created, pulp_last_updated, pulp_domain, ticket, state, name,
                class, logging_cid, created_by, enc_args, parent_task, task_group,
                reserved_resources_record, versions, immediate, deferred, rerun_after_loss,
                unblocked_at, claim_before, finished_at, error)
        VALUES (new.id, stamp, stamp, new.domain, drawn,
                CASE WHEN blocked AND NOT new.deferred THEN 'canceled' ELSE 'waiting' END,
                new.name, new.class, new.cid, new.created_by, new.enc_args, new.parent_task, new.task_group,
                new.exclusive || ARRAY(SELECT 'shared:' || r FROM unnest(new.shared) r),
                new.versions, new.immediate, new.deferred, new.rerun_after_loss,
                CASE WHEN NOT blocked THEN stamp END,
                CASE WHEN NOT blocked AND NOT new.deferred THEN stamp + interval '5 s' END,
                CASE WHEN blocked AND NOT new.deferred THEN stamp END,
                CASE WHEN blocked AND NOT new.deferred
                     THEN '{"reason": "Resources temporarily unavailable."}'::jsonb END)
        RETURNING * INTO stored;
        IF stored.state = 'waiting' THEN
            INSERT INTO reservation (resource, ticket, task_id, exclusive, granted)
            SELECT r, drawn, new.id, true, NOT blocked FROM unnest(new.exclusive) r
             UNION ALL
            SELECT r, drawn, new.id, false, NOT blocked FROM unnest(new.shared) r;
        END IF;
        pulp_id := new.id;
        ticket := drawn;
        pulp_created := stamp;
        state := stored.state;
        announcement := CASE WHEN stored.state = 'waiting' AND NOT blocked THEN millrace_announcement(stored) END;
        RETURN NEXT;
    END LOOP;
END $$;

-- claim:
-- Takes the advisory locks of a task on this session, all or none, then moves it to `running`.
--
-- outcome: `claimed`; `gone` (no such row, or not the task that the message names); `stale` (the row
-- does not wait, or is blocked); `early` (not_before has not come); `expired` (claim_before has
-- passed); `refused` (somebody holds a lock); `full` (the lock table has no room for this task now);
-- `oversized` (it never will on this server). Every outcome but `claimed` leaves the session without locks.
CREATE FUNCTION millrace_claim(wanted uuid, wanted_name text, claim uuid, worker uuid)
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

-- Leaves a waiting, unblocked task to a later announcement.
-- Replaced by 000006.
CREATE FUNCTION millrace_defer(wanted uuid, delay interval) RETURNS void
    LANGUAGE sql AS $$
    UPDATE task SET announced_at = NULL, announce_no = announce_no + 1, announce_after = NULL,
           not_before = clock_timestamp() + delay
     WHERE pulp_id = wanted AND state = 'waiting' AND unblocked_at IS NOT NULL $$;

-- promotion:
-- Unblocks those of the candidates that nothing earlier stands in front of any more.
--
-- Their rows are locked first, in id order, and all their lanes are looked at in a later statement:
-- of two holders that finish at once, the second waits here and then sees that both are gone.
-- `passed` and `passed_tickets`: lanes known to hold nothing up to that ticket, which spares the
-- walk over entries that are dead but still seen by an old snapshot.
CREATE FUNCTION millrace_promote(candidates uuid[], passed text[], passed_tickets bigint[]) RETURNS jsonb
    LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off AS $$
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

-- The tasks that may be unblocked now that a reservation of this lane with this ticket is gone, one
-- more than `batch` at most. From an exclusive reservation: what waits behind it up to and with the
-- lane's next waiting exclusive one. From a shared one: only that next waiting exclusive one.
CREATE FUNCTION millrace_behind(lane text, gone bigint, gone_exclusive boolean, batch integer)
    RETURNS TABLE (task_id uuid, ticket bigint)
    LANGUAGE plpgsql STABLE
    SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    writer bigint;
    writer_task uuid;
BEGIN
    SELECT v.ticket, v.task_id INTO writer, writer_task FROM reservation v
     WHERE v.resource = lane AND v.exclusive AND NOT v.granted AND v.ticket > gone
     ORDER BY v.ticket LIMIT 1;
    IF gone_exclusive THEN
        RETURN QUERY SELECT v.task_id, v.ticket FROM reservation v
          WHERE v.resource = lane AND NOT v.granted AND v.ticket > gone
            AND v.ticket <= coalesce(writer, 9223372036854775807)
          ORDER BY v.ticket LIMIT batch + 1;
    ELSIF writer IS NOT NULL THEN
        RETURN QUERY SELECT writer_task, writer;
    END IF;
END $$;

-- Ends a task: final state, reservations gone, successors unblocked. Used by settle, by the cancel of
-- a waiting task and by a rescue that fails the task. Takes the lane locks first, then rows: its own
-- and the candidates' in one id order.
--
-- No row comes back when the task was not in one of `from_states` under `expected_claim` (null: any):
-- nothing was changed. A canceling task always ends as canceled.
CREATE FUNCTION millrace_finish(ended uuid, expected_claim uuid, from_states text[], to_state text,
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

-- What settle begins with where the body has a last write: the lane locks of the task and of the tasks
-- that it dispatches, then its own row. Null: the claim is lost; else `running` or `canceling`.
CREATE FUNCTION millrace_hold(held uuid, expected_claim uuid, exclusive text[], shared text[]) RETURNS text
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

-- Goes on where a promotion stopped, one lane. No row: nothing is left to resume.
CREATE FUNCTION millrace_resume(batch integer DEFAULT 500)
    RETURNS TABLE (announcements jsonb)
    LANGUAGE plpgsql
    SET enable_seqscan = off AS $$
DECLARE
    lane lane_continuation;
    candidates uuid[];
    last bigint;
BEGIN
    SELECT * INTO lane FROM lane_continuation ORDER BY resource LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN RETURN; END IF;
    SELECT coalesce(array_agg(b.task_id), '{}'), max(b.ticket) INTO candidates, last FROM (
        SELECT * FROM millrace_behind(lane.resource, lane.ticket, true, batch) LIMIT batch) b;
    IF cardinality(candidates) < batch THEN
        DELETE FROM lane_continuation WHERE resource = lane.resource;
    ELSE
        UPDATE lane_continuation SET ticket = last WHERE resource = lane.resource;
    END IF;
    announcements := millrace_promote(candidates, '{}', '{}');
    RETURN NEXT;
END $$;

-- The net under promotion: runs it over the heads of one page of lanes, in the order of their names
-- behind `after`. `repaired` must be zero; `last` is where the next page begins (null: at the start).
CREATE FUNCTION millrace_sweep(after text, page integer)
    RETURNS TABLE (last text, repaired bigint, announcements jsonb)
    LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    lane text := after;
    seen integer := 0;
    candidates uuid[] := '{}';
BEGIN
    LOOP
        SELECT v.resource INTO lane FROM reservation v
         WHERE NOT v.granted AND v.resource > lane ORDER BY v.resource LIMIT 1;
        EXIT WHEN lane IS NULL;
        last := lane;
        IF NOT EXISTS (SELECT FROM lane_continuation c WHERE c.resource = lane) THEN
            candidates := candidates || ARRAY(SELECT b.task_id FROM millrace_behind(lane, 0, true, 50) b);
        END IF;
        seen := seen + 1;
        EXIT WHEN seen >= page;
    END LOOP;
    IF seen < page THEN last := NULL; END IF;
    announcements := millrace_promote(candidates, '{}', '{}');
    repaired := jsonb_array_length(announcements);
    RETURN NEXT;
END $$;

-- rescue:
-- Held tasks whose lock is free, and whether their worker is gone too. Probing takes the lock for the
-- length of this transaction only. Nothing is reported in the first seconds of a server: the workers
-- are reconnecting.
CREATE FUNCTION millrace_lost() RETURNS TABLE (pulp_id uuid, claim_id uuid, worker_gone boolean)
    LANGUAGE plpgsql AS $$
DECLARE
    t record;
BEGIN
    IF clock_timestamp() < pg_postmaster_start_time() + interval '10 s' THEN RETURN; END IF;
    FOR t IN SELECT k.pulp_id, k.claim_id, k.worker_id FROM task k WHERE k.state IN ('running', 'canceling') LOOP
        IF pg_try_advisory_xact_lock(millrace_task_key(t.pulp_id)) THEN
            -- After the crash of one of its processes the server starts all others anew, but not
            -- itself: then its oldest session tells.
            IF clock_timestamp() < (SELECT min(a.backend_start) FROM pg_stat_activity a) + interval '10 s' THEN
                RETURN;
            END IF;
            pulp_id := t.pulp_id;
            claim_id := t.claim_id;
            worker_gone := t.worker_id IS NULL OR pg_try_advisory_xact_lock(millrace_process_key(t.worker_id));
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;

-- Puts a run's task back into its place in the lanes. `rescue`: its worker is gone, the attempt counts.
-- `loss`: its worker lives and lost the session; counted apart, ten at most, each with a longer pause.
-- `unheard`: the worker never learned that it had the task, so no body ran: any type may go back.
-- `shutdown`: counts as nothing. False: it was not this run's any more, or it may not go back.
-- Replaced by 000006.
CREATE FUNCTION millrace_hand_back(wanted uuid, expected_claim uuid, why text) RETURNS boolean
    LANGUAGE plpgsql AS $$
BEGIN
    UPDATE task SET state = 'waiting', claim_id = NULL, worker_id = NULL, announced_at = NULL,
           announce_no = announce_no + 1, announce_after = NULL,
           not_before = CASE WHEN why IN ('loss', 'unheard') THEN clock_timestamp() + interval '100 ms' * 2 ^ losses END,
           attempts = attempts - CASE WHEN why = 'rescue' THEN 0 ELSE 1 END,
           losses = losses + CASE WHEN why IN ('loss', 'unheard') THEN 1 ELSE 0 END
     WHERE pulp_id = wanted AND claim_id = expected_claim AND state = 'running'
       AND (rerun_after_loss OR why = 'unheard')
       AND CASE why WHEN 'rescue' THEN attempts < 3 WHEN 'shutdown' THEN true ELSE losses < 10 END;
    RETURN FOUND;
END $$;

-- janitor:
-- One look at what needs care, a single statement for an idle fleet. No row: another process has
-- this pass. Otherwise what there is to do; each duty then runs in transactions of its own, any
-- number of them side by side without harm.
CREATE FUNCTION millrace_look(pass interval, sweep interval)
    RETURNS TABLE (lost jsonb, expired jsonb, unconfirmed boolean, announced text[], resume boolean,
                   tombstones boolean, sweep_due boolean, sweep_after text)
    LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    j janitor;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7116, 1) THEN RETURN; END IF;
    SELECT * INTO j FROM janitor;
    -- A time to come is one of a clock that was set back since.
    IF j.last_pass BETWEEN clock_timestamp() - pass AND clock_timestamp() THEN RETURN; END IF;
    sweep_due := j.last_sweep NOT BETWEEN clock_timestamp() - sweep AND clock_timestamp();
    sweep_after := j.sweep_after;
    UPDATE janitor SET last_pass = clock_timestamp(),
           last_sweep = CASE WHEN sweep_due THEN clock_timestamp() ELSE janitor.last_sweep END;
    SELECT coalesce(jsonb_agg(jsonb_build_object('task', l.pulp_id, 'claim', l.claim_id, 'worker_gone', l.worker_gone)), '[]')
      INTO lost FROM millrace_lost() l;
    SELECT coalesce(jsonb_agg(e.pulp_id), '[]') INTO expired FROM (
        SELECT t.pulp_id FROM task t
         WHERE t.state = 'waiting' AND t.claim_before < statement_timestamp()
         ORDER BY t.claim_before LIMIT 100) e;
    unconfirmed := EXISTS (
        SELECT FROM task t WHERE t.state = 'waiting' AND t.unblocked_at IS NOT NULL AND t.announced_at IS NULL
           AND t.unblocked_at < statement_timestamp() - interval '1 s');
    WITH RECURSIVE found(class) AS (
        (SELECT t.class FROM task t WHERE t.state = 'waiting' AND t.announced_at IS NOT NULL
          ORDER BY t.class LIMIT 1)
        UNION ALL
        SELECT (SELECT t.class FROM task t WHERE t.state = 'waiting' AND t.announced_at IS NOT NULL
                   AND t.class > found.class ORDER BY t.class LIMIT 1)
          FROM found WHERE found.class IS NOT NULL)
    SELECT coalesce(array_agg(found.class), '{}') INTO announced FROM found WHERE found.class IS NOT NULL;
    resume := EXISTS (SELECT FROM lane_continuation);
    tombstones := EXISTS (SELECT FROM tombstone b WHERE b.not_before <= statement_timestamp());
    RETURN NEXT;
END $$;
