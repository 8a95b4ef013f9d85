-- The artifacts that units ($1) have and no others, but for units in one of those repositories ($2).
SELECT count(DISTINCT f.artifact_id) AS files FROM content_artifact f
 WHERE f.content_id = ANY ($1) AND f.artifact_id IS NOT NULL
   AND NOT EXISTS (SELECT FROM content_artifact o
                    WHERE o.artifact_id = f.artifact_id AND o.content_id <> ALL ($1) OFFSET 0)
   AND NOT EXISTS (SELECT FROM repository_content m
                    WHERE m.content_id = f.content_id AND m.repository_id = ANY ($2) OFFSET 0)
