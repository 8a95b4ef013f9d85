-- When a task is to be over at the latest; null: no matter when. One that waits is ended by `claim_before`, which
-- the deadline bounds; the worker of one that runs sees it with its beat.
ALTER TABLE task ADD COLUMN deadline timestamptz;

-- With the deadline.
CREATE OR REPLACE FUNCTION millrace_dispatch(tasks jsonb)
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
            immediate boolean, deferred boolean, rerun_after_loss boolean, deadline timestamptz)
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
                unblocked_at, claim_before, finished_at, error, deadline)
        VALUES (new.id, stamp, stamp, new.domain, drawn,
                CASE WHEN blocked AND NOT new.deferred THEN 'canceled' ELSE 'waiting' END,
                new.name, new.class, new.cid, new.created_by, new.enc_args, new.parent_task, new.task_group,
                new.exclusive || ARRAY(SELECT 'shared:' || r FROM unnest(new.shared) r),
                new.versions, new.immediate, new.deferred, new.rerun_after_loss,
                CASE WHEN NOT blocked THEN stamp END,
                least(CASE WHEN NOT blocked AND NOT new.deferred THEN stamp + interval '5 s' END, new.deadline),
                CASE WHEN blocked AND NOT new.deferred THEN stamp END,
                CASE WHEN blocked AND NOT new.deferred
                     THEN '{"reason": "Resources temporarily unavailable."}'::jsonb END,
                new.deadline)
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

-- A task that was handed back still has its deadline.
CREATE OR REPLACE FUNCTION millrace_hand_back(wanted uuid, expected_claim uuid, why text) RETURNS boolean
    LANGUAGE plpgsql AS $$
BEGIN
    -- Whoever holds the row may hang.
    PERFORM set_config('lock_timeout', '5s', true);
    UPDATE task SET state = 'waiting', claim_id = NULL, worker_id = NULL, announced_at = NULL,
           announce_no = announce_no + 1, announce_after = NULL,
           not_before = CASE WHEN why IN ('loss', 'unheard') THEN clock_timestamp() + interval '100 ms' * 2 ^ losses END,
           claim_before = least(CASE WHEN NOT deferred THEN clock_timestamp() + interval '5 s' END, deadline),
           attempts = attempts - CASE WHEN why = 'rescue' THEN 0 ELSE 1 END,
           losses = losses + CASE WHEN why IN ('loss', 'unheard') THEN 1 ELSE 0 END
     WHERE pulp_id = wanted AND claim_id = expected_claim AND state = 'running'
       AND (rerun_after_loss OR why = 'unheard')
       AND CASE why WHEN 'rescue' THEN attempts < 3 WHEN 'shutdown' THEN true ELSE losses < 10 END;
    RETURN FOUND;
END $$;

-- Tasks that are dispatched again and again, or once at some time.
CREATE TABLE task_schedule (
    pulp_id uuid PRIMARY KEY,
    pulp_created timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_last_updated timestamptz NOT NULL DEFAULT clock_timestamp(),
    pulp_domain uuid NOT NULL REFERENCES domain ON DELETE CASCADE,
    name text NOT NULL,
    -- Null: never (again).
    next_dispatch timestamptz DEFAULT clock_timestamp(),
    -- Seconds; null: one dispatch.
    dispatch_interval bigint CHECK (dispatch_interval > 0),
    task_name text NOT NULL,
    -- Encrypted JSON object of `args` and `kwargs`.
    enc_args text NOT NULL,
    -- Its tasks are to be over so many seconds after their dispatch.
    deadline_seconds integer CHECK (deadline_seconds > 0),
    -- Deferred: the row is written before the task, whose lane locks are the last that the transaction takes.
    last_task uuid REFERENCES task ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED,
    -- Why it could not be dispatched when it was due, and when that is tried again.
    last_error text,
    not_before timestamptz,
    -- The settings ask for it: the start of a worker changes or removes it.
    managed boolean NOT NULL DEFAULT false,
    UNIQUE (pulp_domain, name)
);
CREATE INDEX task_schedule_created ON task_schedule (pulp_created DESC, pulp_id DESC);
CREATE INDEX task_schedule_last_task ON task_schedule (last_task) WHERE last_task IS NOT NULL;
CREATE INDEX task_schedule_due ON task_schedule (greatest(next_dispatch, not_before))
    WHERE next_dispatch IS NOT NULL;

-- The schedules that are due and whose last task has ended, the longest due first.
CREATE FUNCTION millrace_due_schedules(page integer) RETURNS SETOF uuid
    LANGUAGE sql STABLE
    SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    SELECT s.pulp_id FROM task_schedule s
     WHERE s.next_dispatch IS NOT NULL AND greatest(s.next_dispatch, s.not_before) <= statement_timestamp()
       AND NOT EXISTS (SELECT FROM task t WHERE t.pulp_id = s.last_task
                          AND t.state IN ('waiting', 'running', 'canceling'))
     ORDER BY greatest(s.next_dispatch, s.not_before) LIMIT page $$;

-- The tasks that wait longer than they may, but these: those whose requests wait, then the longest overdue.
CREATE FUNCTION millrace_overdue(but uuid[], page integer) RETURNS SETOF uuid
    LANGUAGE sql STABLE
    SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    (SELECT t.pulp_id FROM task t
      WHERE t.state = 'waiting' AND t.claim_before < statement_timestamp() AND NOT t.deferred
        AND t.pulp_id <> ALL (but)
      ORDER BY t.claim_before LIMIT page)
     UNION ALL
    (SELECT t.pulp_id FROM task t
      WHERE t.state = 'waiting' AND t.claim_before < statement_timestamp() AND t.deferred
        AND t.pulp_id <> ALL (but)
      ORDER BY t.claim_before LIMIT page)
     LIMIT page $$;

-- What `millrace_look` sees, and whether a schedule is due.
CREATE FUNCTION millrace_survey(pass interval, sweep interval)
    RETURNS TABLE (lost jsonb, overdue boolean, unconfirmed boolean, announced text[], resume boolean,
                   tombstones boolean, sweep_due boolean, sweep_after text, schedules boolean)
    LANGUAGE plpgsql AS $$
BEGIN
    SELECT l.lost, l.expired <> '[]', l.unconfirmed, l.announced, l.resume, l.tombstones, l.sweep_due, l.sweep_after
      INTO lost, overdue, unconfirmed, announced, resume, tombstones, sweep_due, sweep_after
      FROM millrace_look(pass, sweep) l;
    IF NOT FOUND THEN RETURN; END IF;
    schedules := EXISTS (SELECT FROM millrace_due_schedules(1));
    RETURN NEXT;
END $$;

-- Requests that may come again: the task that each made. Gone with the task, and after some hours.
CREATE TABLE idempotency_key (
    account_id integer NOT NULL REFERENCES account ON DELETE CASCADE,
    key text NOT NULL,
    -- SHA-256 of what decides: method, path, query and body.
    fingerprint bytea NOT NULL,
    -- Deferred: the row is written before the task, as that of a schedule is.
    task_id uuid NOT NULL REFERENCES task ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    created timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, key)
);
CREATE INDEX idempotency_key_task ON idempotency_key (task_id);
CREATE INDEX idempotency_key_created ON idempotency_key (created);

-- Notes a request before its task is dispatched. No row: it is noted. Otherwise a request with this key was
-- there before, or is being committed, which is waited for: its fingerprint and its task. An expired one gives way.
CREATE FUNCTION millrace_note_request(account integer, given text, print bytea, made uuid, lifetime interval)
    RETURNS TABLE (fingerprint bytea, task_id uuid)
    LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('lock_timeout', '5s', true);
    INSERT INTO idempotency_key AS known (account_id, key, fingerprint, task_id) VALUES (account, given, print, made)
        ON CONFLICT (account_id, key) DO UPDATE
        SET fingerprint = excluded.fingerprint, task_id = excluded.task_id, created = excluded.created
      WHERE known.created < clock_timestamp() - lifetime;
    IF FOUND THEN RETURN; END IF;
    RETURN QUERY SELECT k.fingerprint, k.task_id FROM idempotency_key k WHERE k.account_id = account AND k.key = given;
END $$;

-- Of the `page` tasks that ended next behind the cursor: the last, and which of them are in the domain (null: any) and
-- in one of the states. No row: there are no more.
CREATE FUNCTION millrace_purge_page(behind timestamptz, behind_id uuid, before timestamptz, wanted uuid,
                                    states text[], page integer)
    RETURNS TABLE (last_at timestamptz, last_id uuid, found uuid[])
    LANGUAGE sql STABLE
    SET enable_seqscan = off SET enable_bitmapscan = off AS $$
    WITH walked AS (
        SELECT t.finished_at, t.pulp_id, (wanted IS NULL OR t.pulp_domain = wanted) AND t.state = ANY (states) AS is_found
          FROM task t
         WHERE (t.finished_at, t.pulp_id) > (behind, behind_id) AND t.finished_at < before
         ORDER BY t.finished_at, t.pulp_id LIMIT page)
    SELECT (array_agg(w.finished_at ORDER BY w.finished_at DESC, w.pulp_id DESC))[1],
           (array_agg(w.pulp_id ORDER BY w.finished_at DESC, w.pulp_id DESC))[1],
           coalesce(array_agg(w.pulp_id) FILTER (WHERE w.is_found), '{}')
      FROM walked w HAVING count(*) > 0 $$;

-- Deletes these tasks, where they have ended, with what belongs to them. What somebody else holds is left out, and so is
-- a task whose child somebody holds: its row would be waited for. The checks of the foreign keys are statements inside this function too, and go by their indexes.
CREATE FUNCTION millrace_purge(doomed uuid[])
    RETURNS TABLE (tasks bigint, progress_reports bigint, created_resources bigint)
    LANGUAGE plpgsql
    SET enable_seqscan = off AS $$
DECLARE
    held uuid[];
    busy uuid[];
BEGIN
    PERFORM set_config('lock_timeout', '5s', true);
    held := ARRAY(SELECT t.pulp_id FROM task t WHERE t.pulp_id = ANY (doomed)
                     AND t.state IN ('skipped', 'completed', 'failed', 'canceled')
                   ORDER BY t.pulp_id FOR UPDATE SKIP LOCKED);
    WITH child AS MATERIALIZED (
        SELECT c.pulp_id, c.parent_task FROM task c WHERE c.parent_task = ANY (held)),
    free AS MATERIALIZED (
        SELECT c.pulp_id FROM task c WHERE c.pulp_id = ANY (ARRAY(SELECT child.pulp_id FROM child))
           FOR NO KEY UPDATE SKIP LOCKED)
    SELECT array_agg(child.parent_task) INTO busy FROM child
     WHERE NOT EXISTS (SELECT FROM free WHERE free.pulp_id = child.pulp_id);
    IF busy IS NOT NULL THEN
        held := ARRAY(SELECT h FROM unnest(held) h WHERE h <> ALL (busy));
    END IF;
    -- At once, and not row by row as the foreign key does it; what goes itself need not be written before.
    UPDATE task c SET parent_task = NULL WHERE c.parent_task = ANY (held) AND c.pulp_id <> ALL (held);
    DELETE FROM progress_report p WHERE p.task_id = ANY (held);
    GET DIAGNOSTICS progress_reports = ROW_COUNT;
    DELETE FROM created_resource c WHERE c.task_id = ANY (held);
    GET DIAGNOSTICS created_resources = ROW_COUNT;
    DELETE FROM task t WHERE t.pulp_id = ANY (held);
    GET DIAGNOSTICS tasks = ROW_COUNT;
    RETURN NEXT;
END $$;
