-- Owners first, each probed once: the lock of a living process is held, so probing it fails. After a restart
-- of the server, and for the length of a beat, a living process may be without it.
WITH owners AS MATERIALIZED (
    SELECT DISTINCT owner FROM intent
), gone AS MATERIALIZED (
    SELECT owner FROM owners
     WHERE NOT EXISTS (SELECT FROM app_status a WHERE a.pulp_id = owner
                          AND a.last_heartbeat > clock_timestamp() - interval '15 s')
       AND (SELECT min(backend_start) FROM pg_stat_activity) < clock_timestamp() - interval '30 s'
       AND pg_try_advisory_xact_lock(millrace_process_key(owner))
), given_up AS (
    DELETE FROM intent
     WHERE storage_key IN (SELECT i.storage_key FROM intent i JOIN gone USING (owner) LIMIT $1)
    RETURNING storage_key, multipart
)
INSERT INTO tombstone (storage_key, multipart) SELECT storage_key, multipart FROM given_up
ON CONFLICT DO NOTHING
