SELECT '' AS pulp_type, count(*) AS count
  FROM repository_content new
  JOIN content nc ON nc.pulp_id = new.content_id
 WHERE new.repository_id = $1 AND new.content_id = ANY ($2)
   AND new.version_removed IS NULL AND new.repo_key IS NOT NULL
   AND EXISTS (SELECT FROM repository_content other
                 JOIN content oc ON oc.pulp_id = other.content_id
                WHERE other.repository_id = $1 AND other.repo_key = new.repo_key
                  AND other.version_removed IS NULL AND other.content_id < new.content_id
                  AND oc.repo_key = nc.repo_key AND oc.pulp_type = nc.pulp_type)
