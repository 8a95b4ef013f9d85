-- The units named $name/<n> are in version 1 of the repository $name, and a remote of that name has their files.
INSERT INTO remote (pulp_id, pulp_domain, pulp_type, name, url)
SELECT gen_random_uuid(), pulp_id, 'file.file', '$name', 'http://127.0.0.1/PULP_MANIFEST' FROM domain;
INSERT INTO remote_artifact (pulp_id, content_artifact_id, remote_id, url)
SELECT gen_random_uuid(), ca.pulp_id, r.pulp_id, 'http://127.0.0.1/file' FROM content_artifact ca, remote r
 WHERE ca.relative_path LIKE '$name/%' AND r.name = '$name';
INSERT INTO repository_content (repository_id, content_id, version_added, repo_key)
SELECT r.pulp_id, c.pulp_id, 1, millrace_key_hash(c.repo_key) FROM content c, repository r
 WHERE c.fields ->> 'relative_path' LIKE '$name/%' AND r.name = '$name';
INSERT INTO repository_version (pulp_id, repository_id, number, complete)
SELECT gen_random_uuid(), pulp_id, 1, true FROM repository WHERE name = '$name';
ANALYZE;
