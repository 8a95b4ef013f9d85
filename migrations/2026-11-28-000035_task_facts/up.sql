-- What log lines and metrics say of a task. Functions of their own, so that their plans are kept by the session and
-- each statement of theirs sees what the statement that calls them has done so far.

-- Seconds: `blocked` until it was unblocked, `waited` from then to the claim, `ran` from then to its end or now. The
-- last two only where a worker has it, or had it to the end.
CREATE FUNCTION millrace_facts(wanted uuid) RETURNS TABLE (
    name text, class text, cid text, attempt integer, worker uuid,
    blocked double precision, waited double precision, ran double precision
) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT t.name, t.class, t.logging_cid, t.attempts, t.worker_id,
           extract(epoch FROM t.unblocked_at - t.pulp_created)::double precision,
           CASE WHEN t.worker_id IS NOT NULL THEN
                extract(epoch FROM t.started_at - t.unblocked_at)::double precision END,
           CASE WHEN t.worker_id IS NOT NULL THEN
                extract(epoch FROM coalesce(t.finished_at, clock_timestamp()) - t.started_at)::double precision END
      FROM task t WHERE t.pulp_id = wanted;
END $$;

-- The first of its resources that an earlier task stands in front of; null where none does.
CREATE FUNCTION millrace_blocker(wanted uuid) RETURNS text LANGUAGE plpgsql
SET enable_seqscan = off
SET enable_bitmapscan = off AS $$
DECLARE
    own record;
    found_one boolean;
BEGIN
    FOR own IN SELECT v.resource, v.ticket, v.exclusive FROM reservation v WHERE v.task_id = wanted LOOP
        IF own.exclusive THEN
            found_one := EXISTS (SELECT FROM reservation e
                                  WHERE e.resource = own.resource AND e.ticket < own.ticket
                                  ORDER BY e.ticket DESC LIMIT 1);
        ELSE
            found_one := EXISTS (SELECT FROM reservation e
                                  WHERE e.resource = own.resource AND e.exclusive AND e.ticket < own.ticket
                                  ORDER BY e.ticket DESC LIMIT 1);
        END IF;
        IF found_one THEN RETURN own.resource; END IF;
    END LOOP;
    RETURN NULL;
END $$;
