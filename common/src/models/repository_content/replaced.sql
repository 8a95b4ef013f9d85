SELECT DISTINCT old.content_id
  FROM repository_content new
  JOIN content nc ON nc.pulp_id = new.content_id
  JOIN repository_content old ON old.repository_id = new.repository_id AND old.repo_key = new.repo_key
   AND old.version_removed IS NULL AND old.content_id <> new.content_id
  JOIN content oc ON oc.pulp_id = old.content_id AND oc.repo_key = nc.repo_key AND oc.pulp_type = nc.pulp_type
 WHERE new.repository_id = $1 AND new.content_id = ANY ($2)
   AND new.version_removed IS NULL AND new.repo_key IS NOT NULL
   AND NOT EXISTS (SELECT FROM repository_content s
                    WHERE s.repository_id = $3 AND s.content_id = new.content_id AND s.version_added <= $4
                      AND (s.version_removed IS NULL OR s.version_removed > $4))
   AND EXISTS (SELECT FROM repository_content s
                WHERE s.repository_id = $3 AND s.content_id = old.content_id AND s.version_added <= $4
                  AND (s.version_removed IS NULL OR s.version_removed > $4))
