-- Owners first, each probed once: the lock of a living process is held, so probing it fails.
WITH owners AS MATERIALIZED (
    SELECT DISTINCT owner FROM intent
), gone AS MATERIALIZED (
    SELECT owner FROM owners WHERE pg_try_advisory_xact_lock(millrace_process_key(owner))
), given_up AS (
    DELETE FROM intent
     WHERE storage_key IN (SELECT i.storage_key FROM intent i JOIN gone USING (owner) LIMIT $1)
    RETURNING storage_key
)
INSERT INTO tombstone (storage_key) SELECT storage_key FROM given_up
ON CONFLICT DO NOTHING
