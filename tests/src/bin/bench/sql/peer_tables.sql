-- The rows that a task and a small `modify` have, with all their indexes, and without foreign keys and triggers.
CREATE TABLE peer_task (LIKE task INCLUDING ALL);
CREATE TABLE peer_reservation (LIKE reservation INCLUDING ALL);
CREATE TABLE peer_repository (LIKE repository INCLUDING ALL);
CREATE TABLE peer_version (LIKE repository_version INCLUDING ALL);
CREATE TABLE peer_content (LIKE repository_content INCLUDING ALL);
CREATE TABLE peer_count (LIKE repository_version_count INCLUDING ALL);
CREATE TABLE peer_created (LIKE created_resource INCLUDING ALL);
CREATE TABLE bare (id bigint PRIMARY KEY, at timestamptz, state text, lane text, payload text);
CREATE INDEX ON bare (state, at);
CREATE SEQUENCE peer_ticket;
CREATE SEQUENCE peer_number;
CREATE FUNCTION peer_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(overlay(uuid_send(gen_random_uuid()) PLACING
        substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 'hex')::uuid $$;
INSERT INTO peer_repository (pulp_id, pulp_domain, pulp_type, name)
SELECT lpad(to_hex(n), 32, '0')::uuid, d.pulp_id, 'file.file', 'peer-' || n FROM generate_series(1, 200) n, domain d
