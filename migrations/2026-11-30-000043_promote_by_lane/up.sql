-- Unblocks candidates that nothing stands in front of any more. Each is looked at by its own reservations, and fences (`OFFSET 0`)
-- keep a plan from beginning elsewhere: made while few reservations are exclusive, it would begin at the index of those, and
-- behind a backlog walk all of it for each settle, with the lanes locked.
CREATE OR REPLACE FUNCTION millrace_promote(candidates uuid[], passed text[], passed_tickets bigint[]) RETURNS jsonb
LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off AS $$
DECLARE
    ready uuid[];
    announcements jsonb;
BEGIN
    IF cardinality(candidates) = 0 THEN RETURN '[]'; END IF;
    PERFORM FROM task WHERE task.pulp_id = ANY (candidates) ORDER BY task.pulp_id FOR UPDATE;
    ready := ARRAY(
        SELECT c.pulp_id
          FROM (SELECT t.pulp_id, t.state, t.unblocked_at FROM task t WHERE t.pulp_id = ANY (candidates) OFFSET 0) c
         WHERE c.state = 'waiting' AND c.unblocked_at IS NULL
           AND NOT EXISTS (
               SELECT FROM (SELECT v.resource, v.ticket, v.exclusive, coalesce((
                                   SELECT max(p.ticket) FROM unnest(passed, passed_tickets) p(resource, ticket)
                                    WHERE p.resource = v.resource), 0) AS behind
                              FROM reservation v WHERE v.task_id = c.pulp_id OFFSET 0) own
                CROSS JOIN LATERAL (
                   (SELECT 1 FROM reservation e
                     WHERE own.exclusive AND e.resource = own.resource AND e.ticket < own.ticket AND e.ticket > own.behind
                     ORDER BY e.ticket DESC LIMIT 1)
                    UNION ALL
                   (SELECT 1 FROM reservation e
                     WHERE NOT own.exclusive AND e.exclusive AND e.resource = own.resource AND e.ticket < own.ticket
                       AND e.ticket > own.behind
                     ORDER BY e.ticket DESC LIMIT 1)) earlier
               OFFSET 0));
    IF cardinality(ready) = 0 THEN RETURN '[]'; END IF;
    UPDATE reservation SET granted = true WHERE task_id = ANY (ready);
    WITH moved AS (
        UPDATE task t SET unblocked_at = clock_timestamp() WHERE t.pulp_id = ANY (ready) RETURNING t.*)
    SELECT jsonb_agg(millrace_announcement(m::task) ORDER BY m.ticket) INTO announcements FROM moved m;
    RETURN announcements;
END $$;
