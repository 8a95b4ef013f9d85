\set lane random(1, 200)
WITH new AS (
    INSERT INTO peer_task (pulp_id, pulp_created, pulp_last_updated, pulp_domain, ticket, state, name, class, logging_cid, created_by,
                           unblocked_at, enc_args, reserved_resources_record, versions, immediate, deferred, rerun_after_loss)
    VALUES (peer_id(), now(), now(), '00000000-0000-7000-8000-000000000001', nextval('peer_ticket'), 'waiting',
            'pulpcore.app.tasks.repository.add_and_remove', 'default', md5(:lane::text || random()::text), 1, clock_timestamp(), repeat('x', 320),
            ARRAY['prn.file.filerepository.00000000-0000-7000-8000-00000000000' || :lane::text, 'shared.prn.core.domain.00000000-0000-7000-8000-000000000001'], '{"core": "3.123.1"}', false, true, false)
    RETURNING pulp_id, ticket),
reserved AS (
    INSERT INTO peer_reservation (resource, ticket, task_id, exclusive, granted)
    SELECT r.resource, new.ticket, new.pulp_id, r.exclusive, true
      FROM new, (VALUES ('prn.file.filerepository.00000000-0000-7000-8000-00000000000' || :lane::text, true), ('prn.core.domain.00000000-0000-7000-8000-000000000001', false)) r (resource, exclusive))
SELECT pulp_id AS id FROM new \gset
UPDATE peer_task SET state = 'running', started_at = clock_timestamp(), claim_id = gen_random_uuid(), worker_id = gen_random_uuid(),
       attempts = attempts + 1, announce_no = announce_no + 1
 WHERE pulp_id = :id::uuid AND state = 'waiting';
WITH repository AS (
    UPDATE peer_repository SET next_version = next_version + 1, pulp_last_updated = clock_timestamp()
     WHERE pulp_id = lpad(to_hex(:lane::bigint), 32, '0')::uuid RETURNING pulp_id, next_version),
version AS (
    INSERT INTO peer_version (pulp_id, repository_id, number, complete)
    SELECT peer_id(), pulp_id, next_version, true FROM repository RETURNING pulp_id, repository_id, number),
added AS (
    INSERT INTO peer_content (repository_id, content_id, version_added, repo_key)
    SELECT repository_id, lpad(to_hex(nextval('peer_number')), 32, '0')::uuid, number, nextval('peer_number') FROM version),
counted AS (
    INSERT INTO peer_count (version_id, kind, pulp_type, count)
    SELECT pulp_id, k.kind, 'file.file', 1 FROM version, (VALUES ('added'), ('present')) k (kind)),
created AS (
    INSERT INTO peer_created (task_id, prn) SELECT :id::uuid, 'prn.core.repositoryversion.' || pulp_id FROM version),
gone AS (DELETE FROM peer_reservation WHERE task_id = :id::uuid)
UPDATE peer_task SET state = 'completed', finished_at = clock_timestamp(), claim_id = NULL, announce_no = announce_no + 1
 WHERE pulp_id = :id::uuid AND state = 'running';
