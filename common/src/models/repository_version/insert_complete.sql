WITH held AS (
    SELECT pulp_id FROM repository WHERE pulp_id = $6 AND next_version = $7 FOR NO KEY UPDATE
), done AS (
    INSERT INTO repository_version (pulp_id, repository_id, number, complete, info)
    SELECT $5, held.pulp_id, $7, true, '{}' FROM held
    RETURNING pulp_id, repository_id, number
),
