-- The units are locked first: one that orphan clean-up is deleting is waited for, and then left out.
INSERT INTO repository_content (repository_id, content_id, version_added, repo_key)
SELECT $1, c.pulp_id, $2, millrace_key_hash(c.repo_key)
  FROM (SELECT pulp_id, repo_key FROM content
         WHERE pulp_id = ANY ($3) AND pulp_domain = $4 ORDER BY pulp_id FOR KEY SHARE) c
 WHERE NOT EXISTS (SELECT FROM repository_content present
                    WHERE present.repository_id = $1 AND present.content_id = c.pulp_id
                      AND present.version_removed IS NULL)
