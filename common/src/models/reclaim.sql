-- One page of a repository, in the order of units behind $2: $1 repository, $3 units. Then as in
-- `disposable_reclaim.sql`, fences included: $4 domain, $5 repositories, $6 types, $7 and $8 versions, $9 also what no remote
-- has. Locked against whoever begins to need a unit; what somebody has locked is left out.
WITH page AS MATERIALIZED (
    SELECT m.content_id FROM repository_content m
     WHERE m.repository_id = $1 AND m.content_id > $2 ORDER BY m.content_id LIMIT $3),
kept AS (SELECT * FROM unnest($7::uuid[], $8::integer[]) AS k (repository_id, number)),
found AS MATERIALIZED (
    SELECT c.pulp_id FROM (SELECT DISTINCT content_id FROM page) p
     CROSS JOIN LATERAL (SELECT c.pulp_id, c.pulp_domain, c.pulp_type FROM content c
                          WHERE c.pulp_id = p.content_id OFFSET 0) c
     WHERE c.pulp_domain = $4 AND c.pulp_type = ANY ($6)
       AND EXISTS (SELECT FROM content_artifact ca
                    WHERE ca.content_id = c.pulp_id AND (ca.artifact_id IS NOT NULL) IS TRUE
                      AND ($9 OR EXISTS (SELECT FROM remote_artifact s WHERE s.content_artifact_id = ca.pulp_id OFFSET 0))
                   OFFSET 0)
       AND NOT EXISTS (SELECT FROM repository_content o JOIN repository r ON r.pulp_id = o.repository_id
                        WHERE o.content_id = c.pulp_id AND o.repository_id <> ALL ($5) OFFSET 0)
       AND NOT EXISTS (SELECT FROM kept k JOIN repository_content o ON o.repository_id = k.repository_id
                        WHERE o.content_id = c.pulp_id AND o.version_added <= k.number
                          AND (o.version_removed IS NULL OR o.version_removed > k.number) OFFSET 0)
       AND NOT EXISTS (SELECT FROM used_object u WHERE u.object_id = c.pulp_id OFFSET 0)),
locked AS MATERIALIZED (
    SELECT c.pulp_id FROM content c WHERE c.pulp_id = ANY (ARRAY(SELECT pulp_id FROM found))
     ORDER BY c.pulp_id FOR UPDATE SKIP LOCKED)
SELECT (SELECT max(content_id::text) FROM page)::uuid AS last, (SELECT count(*) FROM found) AS found,
       ARRAY(SELECT pulp_id FROM locked) AS locked
