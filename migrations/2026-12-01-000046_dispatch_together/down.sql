DROP FUNCTION millrace_dispatch_together(jsonb, uuid[], uuid[], boolean);
CREATE OR REPLACE FUNCTION millrace_lock_lanes(exclusive text[], shared text[]) RETURNS void
    LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'lanes are locked in READ COMMITTED only, not in %',
            current_setting('transaction_isolation') USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM set_config('lock_timeout', '5s', true),
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
DROP FUNCTION millrace_lock_lanes(text[], text[], text);
