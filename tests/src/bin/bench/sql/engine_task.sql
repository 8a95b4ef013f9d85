\set lane :client_id + 16 * random(0, 11)
SELECT d.pulp_id AS id FROM millrace_dispatch(peer_task(peer_new_id()::text, 'pulpcore.app.tasks.test.dummy_task', 'lane-' || :lane)) d \gset
SELECT * FROM millrace_claim(:id, 'pulpcore.app.tasks.test.dummy_task', :id, :id);
SELECT * FROM millrace_settle(jsonb_build_array(jsonb_build_object('task', :id::uuid, 'claim', :id::uuid, 'to', 'completed')), '{running,canceling}');
SELECT pg_advisory_unlock_all();
