WITH added AS MATERIALIZED (
    SELECT c.pulp_type, c.fields ->> 'relative_path' AS path
      FROM repository_content m JOIN content c ON c.pulp_id = m.content_id
     WHERE m.repository_id = $1 AND m.content_id = ANY ($2) AND m.version_removed IS NULL
       AND c.pulp_type = 'file.file'
)
-- A directory of the added path is a file: directories are few, and found by their key.
(SELECT d.directory, a.path
   FROM added a
  CROSS JOIN LATERAL (SELECT string_to_array(a.path, '/') AS parts) p
  CROSS JOIN LATERAL (SELECT array_to_string(p.parts[1:i], '/') AS directory
                        FROM generate_series(1, cardinality(p.parts) - 1) i) d
   JOIN repository_content m ON m.repository_id = $1 AND m.version_removed IS NULL
    AND m.repo_key = millrace_key_hash(sha256(convert_to(d.directory, 'UTF8')))
   JOIN content c ON c.pulp_id = m.content_id AND c.pulp_type = 'file.file'
    AND c.fields ->> 'relative_path' = d.directory
  LIMIT 10)
UNION ALL
-- The added path is a directory of another file: a range of the index on paths ('0' follows '/').
(SELECT a.path, below.path
   FROM added a
  CROSS JOIN LATERAL (
        SELECT c.fields ->> 'relative_path' AS path
          FROM content c
          JOIN repository_content m ON m.repository_id = $1 AND m.content_id = c.pulp_id
           AND m.version_removed IS NULL
         WHERE c.pulp_type = 'file.file'
           AND c.fields ->> 'relative_path' ~>=~ (a.path || '/')
           AND c.fields ->> 'relative_path' ~<~ (a.path || '0')
         LIMIT 1) below
  LIMIT 10)
