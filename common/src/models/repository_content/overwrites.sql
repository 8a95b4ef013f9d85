SELECT nc.pulp_type, nc.pulp_id AS incoming, oc.pulp_id AS existing
  FROM content nc
  JOIN repository_content old ON old.repository_id = $1 AND old.repo_key = millrace_key_hash(nc.repo_key)
   AND old.version_added <= $2 AND (old.version_removed IS NULL OR old.version_removed > $2)
  JOIN content oc ON oc.pulp_id = old.content_id AND oc.repo_key = nc.repo_key AND oc.pulp_type = nc.pulp_type
 WHERE nc.pulp_id = ANY ($3) AND nc.repo_key IS NOT NULL AND oc.pulp_id <> nc.pulp_id
   AND NOT oc.pulp_id = ANY ($4)
 ORDER BY nc.pulp_id, oc.pulp_id
