-- The lock timeout is less than the statement timeout of pooled sessions: a lane that does not come in time
-- is tried again, a statement that takes too long is not.
CREATE OR REPLACE FUNCTION millrace_lock_lanes(exclusive text[], shared text[]) RETURNS void
    LANGUAGE plpgsql AS $$
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

-- As many resources as its reader shows: promotions carry hundreds of announcements.
CREATE OR REPLACE FUNCTION millrace_announcement(t task) RETURNS jsonb
    LANGUAGE sql VOLATILE AS $$
    SELECT jsonb_build_object(
        'id', t.pulp_id, 'name', t.name, 'class', t.class, 'ticket', t.ticket, 'number', t.announce_no,
        'attempt', t.attempts + 1, 'versions', t.versions, 'cid', t.logging_cid, 'at', clock_timestamp(),
        'resource_count', cardinality(t.reserved_resources_record),
        'resources', t.reserved_resources_record[1:64]) $$;

-- A task that may not be deferred is not deferred by a run that was handed back either.
CREATE OR REPLACE FUNCTION millrace_hand_back(wanted uuid, expected_claim uuid, why text) RETURNS boolean
    LANGUAGE plpgsql AS $$
BEGIN
    -- Whoever holds the row may hang.
    PERFORM set_config('lock_timeout', '5s', true);
    UPDATE task SET state = 'waiting', claim_id = NULL, worker_id = NULL, announced_at = NULL,
           announce_no = announce_no + 1, announce_after = NULL,
           not_before = CASE WHEN why IN ('loss', 'unheard') THEN clock_timestamp() + interval '100 ms' * 2 ^ losses END,
           claim_before = CASE WHEN NOT deferred THEN clock_timestamp() + interval '5 s' END,
           attempts = attempts - CASE WHEN why = 'rescue' THEN 0 ELSE 1 END,
           losses = losses + CASE WHEN why IN ('loss', 'unheard') THEN 1 ELSE 0 END
     WHERE pulp_id = wanted AND claim_id = expected_claim AND state = 'running'
       AND (rerun_after_loss OR why = 'unheard')
       AND CASE why WHEN 'rescue' THEN attempts < 3 WHEN 'shutdown' THEN true ELSE losses < 10 END;
    RETURN FOUND;
END $$;

-- Leaves a waiting, unblocked task to a later announcement: after `delay` at first, then after as long as it
-- has waited, up to `longest`, so that a backlog that nobody can run does not crowd out what can run. Programs
-- of the release before call the form with two arguments.
CREATE FUNCTION millrace_defer(wanted uuid, delay interval, longest interval) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', '5s', true);
    UPDATE task SET announced_at = NULL, announce_no = announce_no + 1, announce_after = NULL,
           not_before = clock_timestamp() + least(greatest(clock_timestamp() - unblocked_at, delay), longest)
     WHERE pulp_id = wanted AND state = 'waiting' AND unblocked_at IS NOT NULL;
END $$;
