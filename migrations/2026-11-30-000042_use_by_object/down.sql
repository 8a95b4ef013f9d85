CREATE OR REPLACE VIEW used_object AS
    SELECT u.object_id FROM task_use u JOIN task t ON t.pulp_id = u.task_id
     WHERE t.state IN ('waiting', 'running', 'canceling');
