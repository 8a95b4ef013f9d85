-- Units named $name/<n>, $units of them, that no version holds; with a stored file each where $files is true.
-- Their ids are in the order of their making, as those that we make are.
INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields, timestamp_of_interest)
SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '7' || left(md5('$name' || n), 3) || 'a' || substr(md5('$name' || n), 4, 15))::uuid,
       d.pulp_id, 'file.file', sha256(('$name/' || n)::bytea), sha256(('$name/' || n)::bytea),
       jsonb_build_object('relative_path', '$name/' || n, 'digest', encode(sha256(('$name/' || n)::bytea), 'hex')),
       now() - interval '3 days'
  FROM generate_series(1, $units) n, domain d;

INSERT INTO artifact (pulp_id, pulp_domain, storage_key, size, sha256, timestamp_of_interest)
SELECT (lpad(to_hex(1600000000000 + n), 12, '0') || '7' || left(md5('$name' || n), 3) || 'a' || substr(md5('$name' || n), 4, 15))::uuid,
       d.pulp_id, 'artifact/' || lpad(to_hex(n % 256), 2, '0') || '/$name-' || n, 64,
       encode(sha256(('$name/' || n)::bytea), 'hex'), now() - interval '3 days'
  FROM generate_series(1, $units) n, domain d WHERE $files;

INSERT INTO content_artifact (pulp_id, content_id, artifact_id, relative_path)
SELECT gen_random_uuid(), c.pulp_id, a.pulp_id, c.fields ->> 'relative_path'
  FROM content c LEFT JOIN artifact a ON a.sha256 = c.fields ->> 'digest' AND a.pulp_domain = c.pulp_domain
 WHERE c.pulp_type = 'file.file' AND c.fields ->> 'relative_path' LIKE '$name/%';
ANALYZE;
