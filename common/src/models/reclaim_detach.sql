-- Takes the files of locked units ($1) away that still may lose them: looked at again, as whoever came
-- before the lock may need one by now; types and kept versions do not change. $2 repositories, $3 also what no remote has.
WITH file AS (
    SELECT ca.pulp_id, ca.artifact_id, c.pulp_id AS content_id, c.pulp_type
      FROM unnest($1) u (id)
     CROSS JOIN LATERAL (SELECT c.pulp_id, c.pulp_type FROM content c WHERE c.pulp_id = u.id OFFSET 0) c
     CROSS JOIN LATERAL (SELECT ca.pulp_id, ca.artifact_id FROM content_artifact ca
                          WHERE ca.content_id = c.pulp_id AND (ca.artifact_id IS NOT NULL) IS TRUE OFFSET 0) ca
     WHERE NOT EXISTS (SELECT FROM repository_content o JOIN repository r ON r.pulp_id = o.repository_id
                        WHERE o.content_id = c.pulp_id AND o.repository_id <> ALL ($2) OFFSET 0)
       AND NOT EXISTS (SELECT FROM used_object u WHERE u.object_id = c.pulp_id OFFSET 0)
       AND ($3 OR EXISTS (SELECT FROM remote_artifact s WHERE s.content_artifact_id = ca.pulp_id OFFSET 0))),
detached AS (
    UPDATE content_artifact SET artifact_id = NULL WHERE pulp_id = ANY (ARRAY(SELECT pulp_id FROM file)))
SELECT content_id, pulp_type, artifact_id FROM file
