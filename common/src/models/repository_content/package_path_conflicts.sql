WITH added AS MATERIALIZED (
    SELECT u.id, present.repo_key, c.path
      FROM unnest($2) u (id)
     CROSS JOIN LATERAL (SELECT m.repo_key FROM repository_content m
                          WHERE m.repository_id = $1 AND m.content_id = u.id
                            AND m.version_removed IS NULL LIMIT 1) present
     CROSS JOIN LATERAL (SELECT c.fields ->> 'relativepath' AS path FROM content c
                          WHERE c.pulp_id = u.id AND c.pulp_type = 'rpm.package' LIMIT 1) c
), place AS MATERIALIZED (
    -- Added paths and their directories, each once: many packages share a directory.
    SELECT p.place, min(a.path) AS path, min(a.repo_key) AS least, max(a.repo_key) AS greatest
      FROM added a
     CROSS JOIN LATERAL (SELECT string_to_array(a.path, '/') AS parts) s
     CROSS JOIN LATERAL (SELECT array_to_string(s.parts[1:i], '/') AS place
                           FROM generate_series(1, cardinality(s.parts)) i) p
     GROUP BY p.place
)
-- The fences (`OFFSET 0`) are those of `path_conflicts.sql`: one look at an index a path. Units that share a
-- key take each other's place, so that they are no conflict.
-- At an added path, or at a directory of it, is another package.
(SELECT place.place AS directory, place.path
   FROM place
  CROSS JOIN LATERAL (SELECT true
                        FROM (SELECT c.pulp_id FROM content c
                               WHERE c.pulp_type = 'rpm.package'
                                 AND c.fields ->> 'relativepath' = place.place OFFSET 0) c
                       CROSS JOIN LATERAL (SELECT m.repo_key FROM repository_content m
                                            WHERE m.repository_id = $1 AND m.content_id = c.pulp_id
                                              AND m.version_removed IS NULL LIMIT 1) present
                       WHERE present.repo_key <> place.least OR present.repo_key <> place.greatest
                       LIMIT 1) other
  ORDER BY place.place LIMIT 10)
UNION ALL
-- An added path is a directory of another package: a range of the index on paths ('0' follows '/').
(SELECT a.path, below.path
   FROM added a
  CROSS JOIN LATERAL (SELECT c.path
                        FROM (SELECT c.pulp_id, c.fields ->> 'relativepath' AS path FROM content c
                               WHERE c.pulp_type = 'rpm.package'
                                 AND c.fields ->> 'relativepath' ~>=~ (a.path || '/')
                                 AND c.fields ->> 'relativepath' ~<~ (a.path || '0') OFFSET 0) c
                       CROSS JOIN LATERAL (SELECT m.repo_key FROM repository_content m
                                            WHERE m.repository_id = $1 AND m.content_id = c.pulp_id
                                              AND m.version_removed IS NULL LIMIT 1) present
                       WHERE present.repo_key <> a.repo_key
                       LIMIT 1) below
  ORDER BY a.path LIMIT 10)
