\set n random(1, 1000000000)
INSERT INTO bare (id, at, state, lane, payload) VALUES (:client_id * 1000000000::bigint + :n, now(), 'waiting', 'x', repeat('x', 300)) ON CONFLICT DO NOTHING;
UPDATE bare SET state = 'running' WHERE id = :client_id * 1000000000::bigint + :n AND state = 'waiting';
UPDATE bare SET state = 'completed' WHERE id = :client_id * 1000000000::bigint + :n AND state = 'running';
