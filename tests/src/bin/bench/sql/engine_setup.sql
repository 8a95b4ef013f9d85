-- Repositories and units as Millrace has them, and helpers: pgbench takes a colon in a text for a variable.
CREATE FUNCTION peer_id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT lpad(to_hex(n), 32, '0')::uuid $$;
-- Ids in the order of their making, as those of Millrace.
CREATE FUNCTION peer_new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 14))::uuid
$$;
CREATE FUNCTION peer_repository(id uuid) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'prn:file.filerepository:' || id $$;
CREATE FUNCTION peer_task(id text, name text, resource text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_array(jsonb_build_object(
        'id', id, 'domain', '00000000-0000-7000-8000-000000000001', 'class', 'default', 'cid', md5(id), 'created_by', NULL,
        'name', name, 'enc_args', repeat('x', 320), 'parent_task', NULL,
        'task_group', NULL, 'exclusive', jsonb_build_array(resource),
        'shared', jsonb_build_array('prn:core.domain:00000000-0000-7000-8000-000000000001'),
        'versions', '{"core": "3.123.1"}'::jsonb, 'immediate', false, 'deferred', true, 'rerun_after_loss', true,
        'deadline', NULL));
END $$;
CREATE FUNCTION peer_end(id text, claim text, version text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN jsonb_build_array(jsonb_build_object('task', id, 'claim', claim, 'to', 'completed',
        'created', jsonb_build_array('prn:core.repositoryversion:' || version)));
END $$;
INSERT INTO repository (pulp_id, pulp_domain, pulp_type, name)
SELECT peer_id(n), d.pulp_id, 'file.file', 'peer-' || n FROM generate_series(0, 199) n, domain d;
INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields)
SELECT peer_id(n), d.pulp_id, 'file.file', sha256(n::text::bytea), sha256(convert_to('dir/' || n, 'UTF8')),
       jsonb_build_object('relative_path', 'dir/' || n)
  FROM generate_series(1, 50000) n, domain d
