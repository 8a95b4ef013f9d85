-- $1 repository, $2 number of a version or null, $3 publication or null, $4 repository and $5 number of the version
-- that an incremental export begins at or null. The first row is a summary: how many files there are to be written,
-- whether one of the whole set, also of those that are not, can be had neither from the store nor from this machine,
-- and a path that several of them have. Then those files, in the order of their paths. All of it is read at once: by
-- joins of whole sets, which cost a tenth of looks row by row.
WITH start AS MATERIALIZED (
    SELECT DISTINCT link.artifact_id
      FROM repository_content m JOIN content_artifact link ON link.content_id = m.content_id
     WHERE m.repository_id = $4 AND m.version_added <= $5
       AND (m.version_removed IS NULL OR m.version_removed > $5) AND link.artifact_id IS NOT NULL
), named AS (
    SELECT link.pulp_id AS id, link.artifact_id, link.relative_path AS path, false AS is_metadata
      FROM repository_content m JOIN content_artifact link ON link.content_id = m.content_id
     WHERE m.repository_id = $1 AND m.version_added <= $2
       AND (m.version_removed IS NULL OR m.version_removed > $2)
       -- What a publication says of a path wins.
       AND NOT EXISTS (SELECT FROM published_artifact p
                        WHERE p.publication_id = $3 AND p.relative_path = link.relative_path)
    UNION ALL
    -- Metadata of the publication itself is always wanted.
    SELECT link.pulp_id, link.artifact_id, p.relative_path, unit.publication IS NOT NULL
      FROM published_artifact p
      JOIN content_artifact link ON link.pulp_id = p.content_artifact_id
      JOIN content unit ON unit.pulp_id = link.content_id
     WHERE p.publication_id = $3
), file AS MATERIALIZED (
    SELECT named.id, named.path, named.is_metadata OR start.artifact_id IS NULL AS wanted, a.storage_key, a.size,
           -- Asked for only where it is needed: that costs nothing where all files are in the store.
           CASE WHEN named.artifact_id IS NULL THEN (
               SELECT jsonb_agg(jsonb_build_object('url', r.url, 'size', r.size, 'sha256', r.sha256) ORDER BY r.pulp_id DESC)
                 FROM remote_artifact r WHERE r.content_artifact_id = named.id) END AS sources,
           CASE WHEN named.artifact_id IS NULL THEN NOT coalesce((
               SELECT bool_and(lower(left(r.url, 7)) = 'file://')
                 FROM remote_artifact r WHERE r.content_artifact_id = named.id), false) END AS is_lacking
      FROM named
      LEFT JOIN start ON start.artifact_id = named.artifact_id
      LEFT JOIN artifact a ON a.pulp_id = named.artifact_id
)
SELECT NULL::uuid AS id,
       (SELECT min(shared.path) FROM (SELECT w.path FROM file w WHERE w.wanted GROUP BY w.path HAVING count(*) > 1) shared) AS path,
       NULL::text AS storage_key, count(*) FILTER (WHERE file.wanted) AS size,
       NULL::jsonb AS sources,
       coalesce(bool_or(file.is_lacking), false) AS is_lacking
  FROM file
 UNION ALL
(SELECT file.id, file.path, file.storage_key, file.size, file.sources, file.is_lacking
   FROM file WHERE file.wanted ORDER BY file.path COLLATE "C")
