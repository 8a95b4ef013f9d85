-- $1 account, $2 paths, $3 operation. Each half reads the unique index, which a null is an equal of itself in.
SELECT EXISTS (
    SELECT FROM permission_grant g
     WHERE g.account_id = $1 AND g.role_id IS NULL AND g.resource = ANY ($2) AND g.operation = $3
) OR EXISTS (
    SELECT FROM (
        SELECT a.role_id FROM role_assignment a
         WHERE a.account_id = $1 AND a.pulp_domain IS NULL AND a.object_id IS NULL
        UNION
        SELECT a.role_id FROM account_group_member m JOIN role_assignment a ON a.group_id = m.group_id
         WHERE m.account_id = $1 AND a.pulp_domain IS NULL AND a.object_id IS NULL
    ) held
      JOIN permission_grant g ON g.account_id IS NULL AND g.role_id = held.role_id
       AND g.resource = ANY ($2) AND g.operation = $3
) AS covered
