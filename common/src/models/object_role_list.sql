SELECT r.name AS role,
       coalesce(array_agg(u.username ORDER BY u.username) FILTER (WHERE u.id IS NOT NULL), '{}') AS users,
       coalesce(array_agg(g.name ORDER BY g.name) FILTER (WHERE g.id IS NOT NULL), '{}') AS groups
  FROM (SELECT a.role_id, a.account_id, a.group_id FROM role_assignment a
         WHERE a.object_model = $1 AND a.object_id = $2
         UNION
        -- Who dispatched a task owns it, without a row that says so.
        SELECT r.pulp_id, t.created_by, NULL FROM task t JOIN role r ON r.name = ANY ($3)
         WHERE $1 = 'core.task' AND t.pulp_id = $2 AND t.created_by IS NOT NULL) held
  JOIN role r ON r.pulp_id = held.role_id
  LEFT JOIN account u ON u.id = held.account_id
  LEFT JOIN account_group g ON g.id = held.group_id
 GROUP BY r.name ORDER BY r.name
