WITH done AS (
    UPDATE repository_version SET complete = true, claim_id = NULL, pulp_last_updated = now()
     WHERE pulp_id = $5 AND claim_id = $6
    RETURNING pulp_id, repository_id, number
),
