WITH done AS (
    INSERT INTO repository_version (pulp_id, repository_id, number, complete, info)
    VALUES ($5, $6, $7, true, '{}')
    RETURNING pulp_id, repository_id, number
),
