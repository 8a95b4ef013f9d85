DROP FUNCTION millrace_defer(uuid, interval, interval);


CREATE OR REPLACE FUNCTION millrace_lock_lanes(exclusive text[], shared text[]) RETURNS void
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

CREATE OR REPLACE FUNCTION millrace_announcement(t task) RETURNS jsonb
    LANGUAGE sql VOLATILE AS $$
    SELECT jsonb_build_object(
        'id', t.pulp_id, 'name', t.name, 'class', t.class, 'ticket', t.ticket, 'number', t.announce_no,
        'attempt', t.attempts + 1, 'versions', t.versions, 'cid', t.logging_cid, 'at', clock_timestamp(),
        'resource_count', cardinality(t.reserved_resources_record),
        'resources', t.reserved_resources_record[1:200]) $$;

CREATE OR REPLACE FUNCTION millrace_hand_back(wanted uuid, expected_claim uuid, why text) RETURNS boolean
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
