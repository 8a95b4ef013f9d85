-- Notes what tasks are going to use, and keeps it until the transaction ends, unless it is gone.
CREATE FUNCTION millrace_note_uses(users uuid[], objects uuid[]) RETURNS void
    LANGUAGE plpgsql AS $$
DECLARE
    kept uuid[];
BEGIN
    IF cardinality(objects) <= 100 THEN
        kept := ARRAY(SELECT c.pulp_id FROM content c WHERE c.pulp_id = ANY (objects) ORDER BY c.pulp_id FOR KEY SHARE);
        kept := kept || ARRAY(
            SELECT a.pulp_id FROM artifact a WHERE a.pulp_id = ANY (objects) ORDER BY a.pulp_id FOR KEY SHARE);
        INSERT INTO task_use (task_id, object_id)
        SELECT u.task_id, u.object_id FROM unnest(users, objects) AS u(task_id, object_id)
         WHERE u.object_id = ANY (kept)
            ON CONFLICT DO NOTHING;
    ELSE
        WITH unit AS (
            SELECT c.pulp_id FROM content c WHERE c.pulp_id = ANY (objects) ORDER BY c.pulp_id FOR KEY SHARE),
        file AS (
            SELECT a.pulp_id FROM artifact a WHERE a.pulp_id = ANY (objects) ORDER BY a.pulp_id FOR KEY SHARE)
        INSERT INTO task_use (task_id, object_id)
        SELECT u.task_id, u.object_id FROM unnest(users, objects) AS u(task_id, object_id)
         WHERE u.object_id IN (SELECT unit.pulp_id FROM unit UNION ALL SELECT file.pulp_id FROM file)
            ON CONFLICT DO NOTHING;
    END IF;
    -- Most have none, and a look is cheaper than an UPDATE of nothing.
    IF EXISTS (SELECT FROM temporary_file f WHERE f.pulp_id = ANY (objects) AND f.task_id IS NULL) THEN
        UPDATE temporary_file f SET task_id = u.task_id
          FROM unnest(users, objects) AS u(task_id, object_id)
         WHERE f.pulp_id = u.object_id AND f.task_id IS NULL;
    END IF;
END $$;

-- Records tasks whose lanes this transaction has locked, in their order: tickets are drawn after that, and only then does a
-- statement look who is in the way. A row for each, in their order.
CREATE FUNCTION millrace_record(tasks jsonb)
    RETURNS TABLE (pulp_id uuid, ticket bigint, pulp_created timestamptz, state text, announcement jsonb)
    LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
    drawn bigint[];
    part jsonb;
BEGIN
    IF jsonb_array_length(tasks) > 1 AND tasks @> '[{"deferred": false}]' THEN
        -- Who may not wait reserves nothing where he would have to, and below each stands behind all that are in front of it in the
        -- list. So he is a list of his own, and those between two of his kind are another: each is recorded once those in front are.
        FOR part IN
            SELECT jsonb_agg(p.task ORDER BY p.place)
              FROM (SELECT t.task, t.place, count(*) FILTER (WHERE t.is_hasty) OVER before
                         + count(*) FILTER (WHERE t.is_hasty) OVER (before ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS number
                      FROM (SELECT e.task, e.place, NOT (e.task -> 'deferred')::boolean AS is_hasty
                              FROM jsonb_array_elements(tasks) WITH ORDINALITY AS e(task, place)) t
                    WINDOW before AS (ORDER BY t.place)) p
             GROUP BY p.number ORDER BY p.number
        LOOP
            RETURN QUERY SELECT * FROM millrace_record(part);
        END LOOP;
        RETURN;
    END IF;
    drawn := ARRAY(SELECT nextval('task_ticket') FROM generate_series(1, jsonb_array_length(tasks)));
    RETURN QUERY
    WITH new AS MATERIALIZED (
        SELECT t.*, drawn[t.place] AS ticket, clock_timestamp() AS stamp
          FROM ROWS FROM (jsonb_to_recordset(tasks) AS (
                   id uuid, domain uuid, name text, class text, cid text, created_by integer, enc_args text,
                   parent_task uuid, task_group uuid, exclusive text[], shared text[], versions jsonb,
                   immediate boolean, deferred boolean, rerun_after_loss boolean, deadline timestamptz))
               WITH ORDINALITY AS t(id, domain, name, class, cid, created_by, enc_args, parent_task, task_group, exclusive, shared,
                   versions, immediate, deferred, rerun_after_loss, deadline, place)),
    -- What each reserves, and what those in front of it in this list do.
    lane AS MATERIALIZED (
        SELECT n.id, n.ticket, n.deferred, r.resource, r.exclusive,
               count(*) OVER earlier > 0 AS is_reserved, bool_or(r.exclusive) OVER earlier IS TRUE AS is_taken
          FROM new n CROSS JOIN LATERAL (
               SELECT unnest(n.exclusive), true UNION ALL SELECT unnest(n.shared), false) r(resource, exclusive)
        WINDOW earlier AS (PARTITION BY r.resource ORDER BY n.ticket ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)),
    -- The last reservation is looked for: those of who has ended lie in front, until they are vacuumed.
    blocked AS MATERIALIZED (
        SELECT DISTINCT l.id FROM lane l
         WHERE CASE WHEN l.exclusive THEN l.is_reserved OR (
                   SELECT true FROM reservation e WHERE e.resource = l.resource AND e.ticket < l.ticket
                    ORDER BY e.ticket DESC LIMIT 1) IS TRUE
               ELSE l.is_taken OR (
                   SELECT true FROM reservation e WHERE e.resource = l.resource AND e.exclusive AND e.ticket < l.ticket
                    ORDER BY e.ticket DESC LIMIT 1) IS TRUE END),
    reserved AS (
        INSERT INTO reservation (resource, ticket, task_id, exclusive, granted)
        SELECT l.resource, l.ticket, l.id, l.exclusive, b.id IS NULL
          FROM lane l LEFT JOIN blocked b ON b.id = l.id
         WHERE b.id IS NULL OR l.deferred),
    stored AS (
        INSERT INTO task (pulp_id, pulp_created, pulp_last_updated, pulp_domain, ticket, state, name,
                class, logging_cid, created_by, enc_args, parent_task, task_group,
                reserved_resources_record, versions, immediate, deferred, rerun_after_loss,
                unblocked_at, claim_before, finished_at, error, deadline)
        SELECT n.id, n.stamp, n.stamp, n.domain, n.ticket, CASE WHEN b.id IS NULL OR n.deferred THEN 'waiting' ELSE 'canceled' END,
               n.name, n.class, n.cid, n.created_by, n.enc_args, n.parent_task, n.task_group,
               n.exclusive || ARRAY(SELECT 'shared:' || r FROM unnest(n.shared) r),
               n.versions, n.immediate, n.deferred, n.rerun_after_loss,
               CASE WHEN b.id IS NULL THEN n.stamp END,
               least(CASE WHEN b.id IS NULL AND NOT n.deferred THEN n.stamp + interval '5 s' END, n.deadline),
               CASE WHEN b.id IS NOT NULL AND NOT n.deferred THEN n.stamp END,
               CASE WHEN b.id IS NOT NULL AND NOT n.deferred
                    THEN '{"reason": "Resources temporarily unavailable."}'::jsonb END,
               n.deadline
          FROM new n LEFT JOIN blocked b ON b.id = n.id
         ORDER BY n.ticket
        RETURNING task.pulp_id, task.ticket, task.pulp_created, task.state,
                  CASE WHEN task.state = 'waiting' AND task.unblocked_at IS NOT NULL
                       THEN millrace_announcement(task) END AS announcement)
    SELECT s.pulp_id, s.ticket, s.pulp_created, s.state, s.announcement FROM stored s ORDER BY s.ticket;
END $$;

CREATE OR REPLACE FUNCTION millrace_dispatch(tasks jsonb)
    RETURNS TABLE (pulp_id uuid, ticket bigint, pulp_created timestamptz, state text, announcement jsonb)
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM millrace_lock_lanes(
        (SELECT coalesce(array_agg(r), '{}') FROM jsonb_array_elements(tasks) t,
                jsonb_array_elements_text(t -> 'exclusive') r),
        (SELECT coalesce(array_agg(r), '{}') FROM jsonb_array_elements(tasks) t,
                jsonb_array_elements_text(t -> 'shared') r));
    RETURN QUERY SELECT * FROM millrace_record(tasks);
END $$;

-- What is going to be used is kept first: who has locked lanes waits for nothing else.
CREATE OR REPLACE FUNCTION millrace_dispatch(tasks jsonb, users uuid[], objects uuid[])
    RETURNS TABLE (pulp_id uuid, ticket bigint, pulp_created timestamptz, state text, announcement jsonb)
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM millrace_note_uses(users, objects);
    RETURN QUERY SELECT * FROM millrace_dispatch(tasks);
END $$;

-- Dispatches those of these tasks that nobody is in the way of: a row for each of them. Waits neither for lanes nor for objects, or
-- for lanes only, 50 ms for each, and for no other row for longer: an account that somebody renames holds up who is dispatched for
-- it, not those with him. Fails where one is locked for longer. A task with a lane that somebody has locked, where lanes are not
-- waited for, has a row without a ticket. Left out, to be dispatched alone: a task with more than 64 lanes, and one with an object
-- that somebody has locked or that is neither a unit nor an artifact. Locks that were taken for what is not dispatched are given
-- back by the commit.
CREATE OR REPLACE FUNCTION millrace_dispatch_together(tasks jsonb, users uuid[], objects uuid[], waits boolean)
    RETURNS TABLE (pulp_id uuid, ticket bigint, pulp_created timestamptz, state text, announcement jsonb)
    LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    kept uuid[];
    left_out uuid[] := '{}';
    free jsonb;
    busy uuid[];
BEGIN
    -- Locks nothing: sets the time limits, and refuses other isolation levels.
    PERFORM millrace_lock_lanes('{}', '{}', '50ms');
    IF cardinality(objects) > 0 THEN
        kept := ARRAY(SELECT c.pulp_id FROM content c WHERE c.pulp_id = ANY (objects)
                       ORDER BY c.pulp_id FOR KEY SHARE SKIP LOCKED);
        kept := kept || ARRAY(SELECT a.pulp_id FROM artifact a WHERE a.pulp_id = ANY (objects)
                               ORDER BY a.pulp_id FOR KEY SHARE SKIP LOCKED);
        left_out := ARRAY(SELECT u.task_id FROM unnest(users, objects) AS u(task_id, object_id)
                           WHERE u.object_id NOT IN (SELECT unnest(kept)));
    END IF;
    SELECT jsonb_agg(t.task ORDER BY t.place) FILTER (WHERE t.is_free),
           array_agg((t.task ->> 'id')::uuid) FILTER (WHERE NOT t.is_free)
      INTO free, busy
      FROM (SELECT t.task, t.place,
                   waits OR (NOT EXISTS (
                       SELECT FROM jsonb_array_elements_text(t.task -> 'exclusive') r
                        WHERE NOT pg_try_advisory_xact_lock(millrace_lane_class(r), millrace_lane_key(r)))
                   AND NOT EXISTS (
                       SELECT FROM jsonb_array_elements_text(t.task -> 'shared') r
                        WHERE NOT pg_try_advisory_xact_lock_shared(millrace_lane_class(r), millrace_lane_key(r)))) AS is_free
              FROM jsonb_array_elements(tasks) WITH ORDINALITY AS t(task, place)
             WHERE (t.task ->> 'id')::uuid <> ALL (left_out)
               AND jsonb_array_length(t.task -> 'exclusive') + jsonb_array_length(t.task -> 'shared') <= 64
            -- Each lane is tried once, and only of those tasks.
            OFFSET 0) t;
    RETURN QUERY SELECT b.id, NULL::bigint, NULL::timestamptz, NULL::text, NULL::jsonb FROM unnest(busy) b(id);
    IF free IS NULL THEN RETURN; END IF;
    IF waits THEN
        PERFORM millrace_lock_lanes(
            (SELECT coalesce(array_agg(r), '{}') FROM jsonb_array_elements(free) t,
                    jsonb_array_elements_text(t -> 'exclusive') r),
            (SELECT coalesce(array_agg(r), '{}') FROM jsonb_array_elements(free) t,
                    jsonb_array_elements_text(t -> 'shared') r),
            '50ms');
    END IF;
    IF cardinality(objects) > 0 THEN
        -- Units and artifacts are locked already: this waits for none of them.
        PERFORM millrace_note_uses(coalesce(array_agg(u.task_id), '{}'), coalesce(array_agg(u.object_id), '{}'))
           FROM unnest(users, objects) AS u(task_id, object_id)
          WHERE u.task_id IN (SELECT (f ->> 'id')::uuid FROM jsonb_array_elements(free) f);
    END IF;
    RETURN QUERY SELECT * FROM millrace_record(free);
END $$;
