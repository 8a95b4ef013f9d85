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
    PERFORM millrace_lock_lanes('{}', '{}');
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
            (SELECT coalesce(array_agg(DISTINCT r), '{}') FROM jsonb_array_elements(free) t,
                    jsonb_array_elements_text(t -> 'exclusive') r),
            (SELECT coalesce(array_agg(DISTINCT r), '{}') FROM jsonb_array_elements(free) t,
                    jsonb_array_elements_text(t -> 'shared') r),
            '50ms');
    END IF;
    -- All of their lanes are locked already.
    IF cardinality(objects) = 0 THEN
        RETURN QUERY SELECT * FROM millrace_dispatch(free);
    ELSE
        RETURN QUERY SELECT d.*
          FROM (SELECT coalesce(array_agg(u.task_id), '{}') AS users, coalesce(array_agg(u.object_id), '{}') AS objects
                  FROM unnest(users, objects) AS u(task_id, object_id)
                 WHERE u.task_id IN (SELECT (f ->> 'id')::uuid FROM jsonb_array_elements(free) f)) used,
               LATERAL millrace_dispatch(free, used.users, used.objects) d;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION millrace_dispatch(tasks jsonb, users uuid[], objects uuid[])
    RETURNS TABLE (pulp_id uuid, ticket bigint, pulp_created timestamptz, state text, announcement jsonb)
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
    RETURN QUERY SELECT * FROM millrace_dispatch(tasks);
END $$;

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
DROP FUNCTION millrace_record(jsonb);
DROP FUNCTION millrace_note_uses(uuid[], uuid[]);
