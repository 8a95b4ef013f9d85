-- Digest and size of what is not stored are what its newest source says.
DECLARE manifest NO SCROLL CURSOR FOR
SELECT ca.relative_path,
       coalesce(a.sha256, source.sha256, c.fields ->> 'digest') AS sha256,
       coalesce(a.size, source.size) AS size
  FROM repository_content m
  JOIN content c ON c.pulp_id = m.content_id
  JOIN content_artifact ca ON ca.content_id = c.pulp_id
  LEFT JOIN artifact a ON a.pulp_id = ca.artifact_id
  LEFT JOIN LATERAL (SELECT r.sha256, r.size FROM remote_artifact r
                      WHERE ca.artifact_id IS NULL AND r.content_artifact_id = ca.pulp_id
                      ORDER BY r.pulp_id DESC LIMIT 1) source ON true
 WHERE m.repository_id = $1 AND m.version_added <= $2
   AND (m.version_removed IS NULL OR m.version_removed > $2)
 ORDER BY c.pulp_created DESC, c.pulp_id DESC, ca.relative_path
