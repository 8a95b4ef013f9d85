-- From the object to the task, always: who looks at one object after the other would walk all tasks that have not ended for each,
-- where statistics make those look few. The fence (`OFFSET 0`) keeps the order, `IS TRUE` hides the states from indexes.
CREATE OR REPLACE VIEW used_object AS
    SELECT u.object_id FROM task_use u
     CROSS JOIN LATERAL (SELECT FROM task t WHERE t.pulp_id = u.task_id
                            AND (t.state IN ('waiting', 'running', 'canceling')) IS TRUE OFFSET 0) t;
