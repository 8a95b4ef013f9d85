-- Locks lanes as before, and waits for each for so long.
CREATE FUNCTION millrace_lock_lanes(exclusive text[], shared text[], patience text) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'lanes are locked in READ COMMITTED only, not in %',
            current_setting('transaction_isolation') USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM set_config('lock_timeout', patience, true),
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
CREATE OR REPLACE FUNCTION millrace_lock_lanes(exclusive text[], shared text[]) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM millrace_lock_lanes(exclusive, shared, '5s');
END $$;

-- Dispatches those of these tasks that nobody is in the way of, as millrace_dispatch does: a row for each of them. Waits neither
-- for lanes nor for objects, or for lanes only, 50 ms for each: then it fails where one is locked for longer. A task with a
-- lane that somebody has locked, where lanes are not waited for, has a row without a ticket. Left out, to be dispatched alone: a
-- task with more than 64 lanes, and one with an object that somebody has locked or that is neither a unit nor an artifact.
-- Locks that were taken for what is not dispatched are given back by the commit.
CREATE FUNCTION millrace_dispatch_together(tasks jsonb, users uuid[], objects uuid[], waits boolean)
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
