-- $1 repository, $2 number of a version or null, $3 publication or null, $4 repository and $5 number of the
-- version that an incremental export begins at or null. How many files there are to be exported, and whether
-- one of the whole set, also of those that are not, can be had neither from the store nor from this machine.
WITH file AS (
    SELECT link.pulp_id, link.artifact_id, false AS is_metadata
      FROM repository_content m JOIN content_artifact link ON link.content_id = m.content_id
     WHERE m.repository_id = $1 AND m.version_added <= $2
       AND (m.version_removed IS NULL OR m.version_removed > $2)
       AND NOT EXISTS (SELECT FROM published_artifact p
                        WHERE p.publication_id = $3 AND p.relative_path = link.relative_path)
    UNION ALL
    SELECT link.pulp_id, link.artifact_id, unit.publication IS NOT NULL
      FROM published_artifact p
      JOIN content_artifact link ON link.pulp_id = p.content_artifact_id
      JOIN content unit ON unit.pulp_id = link.content_id
     WHERE p.publication_id = $3
), start AS (
    SELECT DISTINCT link.artifact_id
      FROM repository_content m JOIN content_artifact link ON link.content_id = m.content_id
     WHERE m.repository_id = $4 AND m.version_added <= $5
       AND (m.version_removed IS NULL OR m.version_removed > $5) AND link.artifact_id IS NOT NULL
)
SELECT count(*) FILTER (WHERE file.is_metadata OR start.artifact_id IS NULL) AS files,
       coalesce(bool_or(file.artifact_id IS NULL AND NOT coalesce(source.is_local, false)), false) AS is_lacking
  FROM file
  LEFT JOIN start ON start.artifact_id = file.artifact_id
  LEFT JOIN LATERAL (
       SELECT bool_and(lower(left(r.url, 7)) = 'file://') AS is_local FROM remote_artifact r
        WHERE file.artifact_id IS NULL AND r.content_artifact_id = file.pulp_id
  ) source ON true
