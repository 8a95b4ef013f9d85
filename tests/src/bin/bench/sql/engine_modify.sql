\set repository :client_id + 16 * random(0, 11)
\set unit random(1, 50000)
SELECT i.*, peer_task(id::text, 'pulpcore.app.tasks.repository.add_and_remove', peer_repository(repository)) AS task, peer_end(id::text, claim::text, version::text) AS ending FROM (SELECT peer_new_id() AS id, gen_random_uuid() AS claim, gen_random_uuid() AS worker, peer_new_id() AS version, peer_id(:repository) AS repository, peer_id(:unit) AS unit OFFSET 0) i \gset
SELECT * FROM repository WHERE pulp_id = :repository::uuid;
BEGIN;
SELECT pulp_id, pulp_domain, pulp_type, timestamp_of_interest < now() - interval '1 hour' FROM content WHERE pulp_id = ANY (ARRAY[:unit]::uuid[]) ORDER BY pulp_id FOR KEY SHARE;
SELECT d.* FROM millrace_dispatch(:task, ARRAY[:id]::uuid[], ARRAY[:unit]::uuid[]) d;
COMMIT;
SELECT * FROM millrace_claim(:id, 'pulpcore.app.tasks.repository.add_and_remove', :claim, :worker);
SELECT * FROM repository WHERE pulp_id = :repository::uuid;
SELECT next_version AS number, coalesce((SELECT v.pulp_id::text FROM repository_version v WHERE v.repository_id = r.pulp_id ORDER BY v.number DESC LIMIT 1), '') AS previous FROM repository r WHERE pulp_id = :repository::uuid \gset
BEGIN;
{add}
{rivals}
{path_conflicts}
SELECT millrace_hold(:id, :claim, '{}', '{}');
{insert_complete}
SELECT * FROM millrace_settle(:ending, '{running,canceling}', is_held => true);
COMMIT;
SELECT pg_advisory_unlock_all();
