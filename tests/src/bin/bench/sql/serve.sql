-- Serves every artifact that there is below `bench/`, under its size.
INSERT INTO repository (pulp_id, pulp_domain, pulp_type, name)
SELECT gen_random_uuid(), pulp_id, 'file.file', 'served' FROM domain;
INSERT INTO repository_version (pulp_id, repository_id, number, complete)
SELECT gen_random_uuid(), pulp_id, 1, true FROM repository WHERE name = 'served';
INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields)
SELECT gen_random_uuid(), pulp_domain, 'file.file', sha256(size::text::bytea), sha256(size::text::bytea),
       jsonb_build_object('relative_path', size::text, 'digest', sha256)
  FROM artifact;
INSERT INTO content_artifact (pulp_id, content_id, artifact_id, relative_path)
SELECT gen_random_uuid(), c.pulp_id, a.pulp_id, a.size::text
  FROM artifact a JOIN content c ON c.fields ->> 'digest' = a.sha256;
INSERT INTO repository_content (repository_id, content_id, version_added, repo_key)
SELECT r.pulp_id, c.pulp_id, 1, millrace_key_hash(c.repo_key)
  FROM repository r, content c JOIN artifact a ON c.fields ->> 'digest' = a.sha256 WHERE r.name = 'served';
INSERT INTO publication (pulp_id, pulp_domain, pulp_type, repository_version_id, pass_through)
SELECT gen_random_uuid(), r.pulp_domain, 'file.file', v.pulp_id, true
  FROM repository r JOIN repository_version v ON v.repository_id = r.pulp_id WHERE r.name = 'served';
INSERT INTO distribution (pulp_id, pulp_domain, pulp_type, name, base_path, repository_id)
SELECT gen_random_uuid(), pulp_domain, 'file.file', 'bench', 'bench', pulp_id
  FROM repository WHERE name = 'served';
