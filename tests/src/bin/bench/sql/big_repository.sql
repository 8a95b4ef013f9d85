-- A file repository `big` with one version of $units units, each with a stored file that no test reads.
-- Identifiers are of version 7, one millisecond each eight units.
CREATE OR REPLACE FUNCTION pg_temp.id7(n bigint, kind int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex(1760000000000 + n / 8), 12, '0') || '7' || lpad(to_hex(kind), 3, '0')
            || 'a' || lpad(to_hex(n), 15, '0'))::uuid $$;

INSERT INTO artifact (pulp_id, pulp_domain, storage_key, size, sha256)
SELECT pg_temp.id7(n, 1), d.pulp_id, 'artifact/00/' || n, 1024, encode(sha256(n::text::bytea), 'hex')
  FROM generate_series(1, $units) n, domain d;

INSERT INTO content (pulp_id, pulp_created, pulp_domain, pulp_type, natural_key, repo_key, fields)
SELECT pg_temp.id7(n, 2), now() - ($units - n) * interval '1 ms', d.pulp_id, 'file.file',
       sha256(('natural' || n)::bytea), sha256(path::bytea),
       jsonb_build_object('relative_path', path, 'digest', encode(sha256(n::text::bytea), 'hex'))
  FROM generate_series(1, $units) n,
       LATERAL (SELECT 'pool/' || n % 1000 || '/package-' || n || '.rpm' AS path) p, domain d;

INSERT INTO content_artifact (pulp_id, content_id, artifact_id, relative_path)
SELECT pg_temp.id7(n, 3), pg_temp.id7(n, 2), pg_temp.id7(n, 1), 'pool/' || n % 1000 || '/package-' || n || '.rpm'
  FROM generate_series(1, $units) n;

INSERT INTO repository (pulp_id, pulp_domain, pulp_type, name, next_version)
SELECT pg_temp.id7(1, 4), d.pulp_id, 'file.file', 'big', 2 FROM domain d;
INSERT INTO repository_version (pulp_id, repository_id, number, complete)
VALUES (pg_temp.id7(1, 5), pg_temp.id7(1, 4), 0, true), (pg_temp.id7(2, 5), pg_temp.id7(1, 4), 1, true);
INSERT INTO repository_version_count (version_id, kind, pulp_type, count)
SELECT pg_temp.id7(2, 5), kind, 'file.file', $units FROM unnest(ARRAY['added', 'present']) kind;
INSERT INTO repository_content (repository_id, content_id, version_added, repo_key)
SELECT pg_temp.id7(1, 4), c.pulp_id, 1, millrace_key_hash(c.repo_key) FROM content c;
ANALYZE;
