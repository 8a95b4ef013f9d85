-- $1 repository, $2 number of a version, $3 publication or null, $4 repository and $5 number of the version
-- that an incremental export begins at or null, $6 unit and $7 file of it that were seen last, $8 rows at most.
-- A unit without files has one row, so that the last row says where the next page begins.
WITH unit AS MATERIALIZED (
    SELECT content_id FROM repository_content
     WHERE repository_id = $1 AND version_added <= $2 AND content_id >= $6
       AND (version_removed IS NULL OR version_removed > $2)
     ORDER BY content_id LIMIT $8
), page AS MATERIALIZED (
    SELECT unit.content_id, link.pulp_id, link.artifact_id, link.relative_path
      FROM unit LEFT JOIN LATERAL (
           SELECT pulp_id, artifact_id, relative_path FROM content_artifact
            WHERE content_id = unit.content_id AND (unit.content_id > $6 OR pulp_id > $7)
            ORDER BY pulp_id LIMIT $8
      ) link ON true
     ORDER BY unit.content_id, link.pulp_id LIMIT $8
), file AS MATERIALIZED (
    SELECT page.content_id AS unit_id, page.pulp_id AS id, page.artifact_id, page.relative_path AS path,
           page.pulp_id IS NOT NULL AND published.here IS NULL AND had.here IS NULL AS wanted
      FROM page
      -- What a publication says of a path wins.
      LEFT JOIN LATERAL (
           SELECT true AS here FROM published_artifact p
            WHERE p.publication_id = $3 AND p.relative_path = page.relative_path LIMIT 1
      ) published ON true
      LEFT JOIN LATERAL (
           SELECT true AS here
             FROM content_artifact other
             CROSS JOIN LATERAL (
                  SELECT FROM repository_content m
                   WHERE m.repository_id = $4 AND m.content_id = other.content_id AND m.version_added <= $5
                     AND (m.version_removed IS NULL OR m.version_removed > $5) LIMIT 1
             ) member
            WHERE $4 IS NOT NULL AND other.artifact_id = page.artifact_id LIMIT 1
      ) had ON true
)
