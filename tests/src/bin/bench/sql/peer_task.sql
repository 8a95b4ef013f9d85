\set lane random(1, 200)
WITH new AS (
    INSERT INTO peer_task (pulp_id, pulp_created, pulp_last_updated, pulp_domain, ticket, state, name, class, logging_cid, created_by,
                           unblocked_at, enc_args, reserved_resources_record, versions, immediate, deferred, rerun_after_loss)
    VALUES (peer_id(), now(), now(), '00000000-0000-7000-8000-000000000001', nextval('peer_ticket'), 'waiting',
            'pulpcore.app.tasks.test.dummy_task', 'default', md5(:lane::text || random()::text), 1, clock_timestamp(), repeat('x', 160),
            ARRAY['lane-' || :lane::text, 'shared.prn.core.domain.00000000-0000-7000-8000-000000000001'], '{"core": "3.123.1"}', false, true, false)
    RETURNING pulp_id, ticket),
reserved AS (
    INSERT INTO peer_reservation (resource, ticket, task_id, exclusive, granted)
    SELECT r.resource, new.ticket, new.pulp_id, r.exclusive, true
      FROM new, (VALUES ('lane-' || :lane::text, true), ('prn.core.domain.00000000-0000-7000-8000-000000000001', false)) r (resource, exclusive))
SELECT pulp_id AS id FROM new \gset
UPDATE peer_task SET state = 'running', started_at = clock_timestamp(), claim_id = gen_random_uuid(), worker_id = gen_random_uuid(),
       attempts = attempts + 1, announce_no = announce_no + 1
 WHERE pulp_id = :id::uuid AND state = 'waiting';
WITH gone AS (DELETE FROM peer_reservation WHERE task_id = :id::uuid)
UPDATE peer_task SET state = 'completed', finished_at = clock_timestamp(), claim_id = NULL, announce_no = announce_no + 1
 WHERE pulp_id = :id::uuid AND state = 'running';
