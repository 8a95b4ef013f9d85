DELETE FROM task_use WHERE ctid = ANY (ARRAY(
    SELECT u.ctid FROM task_use u
     WHERE NOT EXISTS (
        SELECT FROM task t WHERE t.pulp_id = u.task_id AND t.state IN ('waiting', 'running', 'canceling'))
     LIMIT $1))
