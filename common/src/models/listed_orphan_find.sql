-- $1 domain, $2 type, $3 moment, $4 unit.
SELECT c.pulp_created AS last_created, c.pulp_id AS last_id, 1::bigint AS found, c.pulp_id, c.pulp_last_updated, c.fields,
       file.storage_key, file.size, stored.path
  FROM content c
  LEFT JOIN LATERAL (
       SELECT a.storage_key, a.size FROM content_artifact ca JOIN artifact a ON a.pulp_id = ca.artifact_id
        WHERE ca.content_id = c.pulp_id ORDER BY ca.relative_path LIMIT 1
  ) file ON true
  LEFT JOIN unit_storage stored ON stored.content_id = c.pulp_id
 WHERE c.pulp_id = $4 AND c.pulp_domain = $1 AND c.pulp_type = $2 AND c.timestamp_of_interest < $3
   AND c.pulp_type <> 'core.publishedmetadata'
   AND NOT EXISTS (SELECT FROM repository_content m WHERE m.content_id = c.pulp_id)
   AND NOT EXISTS (SELECT FROM used_object u WHERE u.object_id = c.pulp_id)
