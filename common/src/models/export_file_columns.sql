-- What is known of the files that `file` names: id, artifact, path, and whether they are wanted. Every look
-- goes through an index, once a row: a LIMIT leaves the planner no other way.
SELECT file.unit_id, file.id, file.path, file.wanted, a.storage_key, a.size,
       source.urls, source.size AS source_size, source.sha256 AS source_sha256
  FROM file
  LEFT JOIN LATERAL (SELECT storage_key, size FROM artifact WHERE pulp_id = file.artifact_id LIMIT 1) a ON true
  LEFT JOIN LATERAL (
       SELECT array_agg(r.url ORDER BY r.pulp_id DESC) AS urls,
              (array_agg(r.size ORDER BY r.pulp_id DESC))[1] AS size,
              (array_agg(r.sha256 ORDER BY r.pulp_id DESC))[1] AS sha256
         FROM remote_artifact r WHERE file.artifact_id IS NULL AND r.content_artifact_id = file.id
  ) source ON true
