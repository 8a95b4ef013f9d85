WITH mine AS MATERIALIZED (
    SELECT coalesce(array_agg(m.group_id), '{}') AS groups FROM account_group_member m WHERE m.account_id = $1)
SELECT mine.groups,
       ARRAY(SELECT DISTINCT p.name
               FROM role_assignment a JOIN role r ON r.pulp_id = a.role_id CROSS JOIN unnest(r.permissions) p (name)
              WHERE (a.account_id = $1 OR a.group_id = ANY (mine.groups)) AND a.object_model IS NULL
                AND (a.pulp_domain IS NULL OR a.pulp_domain = $2)) AS general,
       ARRAY(SELECT p.name
               FROM role_assignment a JOIN role r ON r.pulp_id = a.role_id CROSS JOIN unnest(r.permissions) p (name)
              WHERE (a.account_id = $1 OR a.group_id = ANY (mine.groups))
                AND a.object_model = $3 AND a.object_id = $4
              UNION
             -- Who dispatched a task owns it, without a row that says so.
             SELECT p.name FROM role r CROSS JOIN unnest(r.permissions) p (name)
              WHERE $3 = 'core.task' AND r.name = ANY ($5)
                AND EXISTS (SELECT FROM task t WHERE t.pulp_id = $4 AND t.created_by = $1)) AS particular,
       EXISTS (SELECT FROM role_assignment a
                WHERE a.object_model = 'core.task' AND (a.account_id = $1 OR a.group_id = ANY (mine.groups))) AS on_tasks
  FROM mine
