-- The artifacts that units of these repositories ($1) have. Fenced as `disposable_reclaim.sql` is.
SELECT count(DISTINCT f.artifact_id) AS files
  FROM (SELECT DISTINCT content_id FROM repository_content WHERE repository_id = ANY ($1)) held
 CROSS JOIN LATERAL (SELECT ca.artifact_id FROM content_artifact ca
                      WHERE ca.content_id = held.content_id AND (ca.artifact_id IS NOT NULL) IS TRUE OFFSET 0) f
