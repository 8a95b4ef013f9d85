WITH added AS MATERIALIZED (
    SELECT c.path
      FROM unnest($2) u (id)
     CROSS JOIN LATERAL (SELECT true FROM repository_content m
                          WHERE m.repository_id = $1 AND m.content_id = u.id
                            AND m.version_removed IS NULL LIMIT 1) present
     CROSS JOIN LATERAL (SELECT c.fields ->> 'relative_path' AS path FROM content c
                          WHERE c.pulp_id = u.id AND c.pulp_type = 'file.file' LIMIT 1) c
), directories AS MATERIALIZED (
    -- Each once: many files share a directory.
    SELECT d.directory, min(a.path) AS path
      FROM added a
     CROSS JOIN LATERAL (SELECT string_to_array(a.path, '/') AS parts) p
     CROSS JOIN LATERAL (SELECT array_to_string(p.parts[1:i], '/') AS directory
                           FROM generate_series(1, cardinality(p.parts) - 1) i) d
     GROUP BY d.directory
)
-- The fences (`OFFSET 0`) keep the planner from walking all units of the repository instead of one look at
-- an index a path, whatever the statistics say. What is removed is left out behind them: the index of what is
-- present is walked as long as the statistics take it for empty.
-- The repository is read from a subquery: of one that the statistics have not met, all memberships seem as
-- quick to walk as one look at the index of keys.
-- A directory of an added path is a file, which is found by its key.
(SELECT d.directory, d.path
   FROM directories d
  CROSS JOIN LATERAL (SELECT true
                        FROM (SELECT m.content_id, m.version_removed FROM repository_content m
                               WHERE m.repository_id = (SELECT $1)
                                 AND m.repo_key = millrace_key_hash(sha256(convert_to(d.directory, 'UTF8')))
                              OFFSET 0) m
                       CROSS JOIN LATERAL (SELECT true FROM content c
                                            WHERE c.pulp_id = m.content_id AND c.pulp_type = 'file.file'
                                              AND c.fields ->> 'relative_path' = d.directory LIMIT 1) c
                       WHERE m.version_removed IS NULL
                       LIMIT 1) file
  LIMIT 10)
UNION ALL
-- An added path is a directory of another file: a range of the index on paths ('0' follows '/').
(SELECT a.path, below.path
   FROM added a
  CROSS JOIN LATERAL (SELECT c.path
                        FROM (SELECT c.pulp_id, c.fields ->> 'relative_path' AS path FROM content c
                               WHERE c.pulp_type = 'file.file'
                                 AND c.fields ->> 'relative_path' ~>=~ (a.path || '/')
                                 AND c.fields ->> 'relative_path' ~<~ (a.path || '0') OFFSET 0) c
                       CROSS JOIN LATERAL (SELECT true FROM repository_content m
                                            WHERE m.repository_id = $1 AND m.content_id = c.pulp_id
                                              AND m.version_removed IS NULL LIMIT 1) present
                       LIMIT 1) below
  LIMIT 10)
