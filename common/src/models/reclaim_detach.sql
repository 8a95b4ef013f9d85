-- Takes the files of locked units ($1) away that still may lose them: looked at again, as whoever came
-- before the lock may need one by now; types and kept versions do not change. $2 repositories, $3 also what no remote has.
WITH file AS (
    SELECT ca.pulp_id, ca.artifact_id, c.pulp_id AS content_id, c.pulp_type, a.size
      FROM content c JOIN content_artifact ca ON ca.content_id = c.pulp_id
      JOIN artifact a ON a.pulp_id = ca.artifact_id
     WHERE c.pulp_id = ANY ($1)
       AND NOT EXISTS (SELECT FROM repository_content o JOIN repository r ON r.pulp_id = o.repository_id
                        WHERE o.content_id = c.pulp_id AND o.repository_id <> ALL ($2))
       AND NOT EXISTS (SELECT FROM used_object u WHERE u.object_id = c.pulp_id)
       AND ($3 OR EXISTS (SELECT FROM remote_artifact s WHERE s.content_artifact_id = ca.pulp_id))),
detached AS (
    UPDATE content_artifact ca SET artifact_id = NULL FROM file WHERE ca.pulp_id = file.pulp_id
    RETURNING file.content_id, file.pulp_type, file.artifact_id)
SELECT content_id, pulp_type, artifact_id FROM detached
