-- A page of what was added in between, in the order of an index; what still is held on the other side stays.
-- The first unit of version `behind` + 1 comes after the greatest unit of version `behind`.
WITH page AS (
    SELECT ctid, version_added, content_id, ($4 IS NULL OR version_removed <= $4) IS TRUE AS goes
      FROM repository_content
     WHERE repository_id = $1 AND (version_added, content_id) > ($2, $3)
       AND version_added > $5 AND version_added < coalesce($4, 2147483647)
     ORDER BY version_added, content_id LIMIT $6
), gone AS (
    DELETE FROM repository_content m USING page WHERE m.ctid = page.ctid AND page.goes
)
SELECT count(*) OVER () AS seen, version_added, content_id
  FROM page ORDER BY version_added DESC, content_id DESC LIMIT 1
