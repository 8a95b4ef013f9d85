-- $1 domain, $2 row type, $3 behind this line, $4 lines.
WITH next AS MATERIALIZED (
    SELECT line, coalesce(id, gen_random_uuid()) AS id, natural_key, repo_key, fields, path
      FROM unit_import WHERE line > $3 ORDER BY line LIMIT $4),
unit AS (
    INSERT INTO content (pulp_id, pulp_domain, pulp_type, natural_key, repo_key, fields)
    SELECT id, $1, $2, natural_key, repo_key, fields FROM next),
stored AS (
    INSERT INTO unit_storage (content_id, path) SELECT id, path FROM next WHERE path IS NOT NULL)
SELECT count(*) AS made, max(line) AS last FROM next
