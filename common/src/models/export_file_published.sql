-- $1 publication, $2 repository and $3 number of the version that an incremental export begins at or null,
-- $4 the path that was seen last, $5 rows at most. Metadata of the publication itself is always wanted.
WITH page AS MATERIALIZED (
    SELECT relative_path, content_artifact_id FROM published_artifact
     WHERE publication_id = $1 AND relative_path > $4 COLLATE "C"
     ORDER BY relative_path LIMIT $5
), file AS MATERIALIZED (
    SELECT link.content_id AS unit_id, link.pulp_id AS id, link.artifact_id, page.relative_path AS path,
           unit.publication IS NOT NULL OR had.here IS NULL AS wanted
      FROM page
      CROSS JOIN LATERAL (SELECT pulp_id, content_id, artifact_id FROM content_artifact
                           WHERE pulp_id = page.content_artifact_id LIMIT 1) link
      CROSS JOIN LATERAL (SELECT publication FROM content WHERE pulp_id = link.content_id LIMIT 1) unit
      LEFT JOIN LATERAL (
           SELECT true AS here
             FROM content_artifact other
             CROSS JOIN LATERAL (
                  SELECT FROM repository_content m
                   WHERE m.repository_id = $2 AND m.content_id = other.content_id AND m.version_added <= $3
                     AND (m.version_removed IS NULL OR m.version_removed > $3) LIMIT 1
             ) member
            WHERE $2 IS NOT NULL AND other.artifact_id = link.artifact_id LIMIT 1
      ) had ON true
)
