-- Unblocks candidates that nothing stands in front of any more; they are found by their ids whatever the statistics say of those that wait.
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
