DROP FUNCTION millrace_purge(uuid[]);
DROP FUNCTION millrace_purge_page(timestamptz, uuid, timestamptz, uuid, text[], integer);
DROP FUNCTION millrace_note_request(integer, text, bytea, uuid, interval);
DROP TABLE idempotency_key;
DROP FUNCTION millrace_survey(interval, interval);
DROP FUNCTION millrace_overdue(uuid[], integer);
DROP FUNCTION millrace_due_schedules(integer);
DROP TABLE task_schedule;
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

ALTER TABLE task DROP COLUMN deadline;
