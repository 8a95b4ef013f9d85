WITH maker AS (
    SELECT u.id, u.username, $3 AS cid FROM account u WHERE u.id = $1
     UNION ALL
    SELECT u.id, u.username, t.logging_cid FROM task t JOIN account u ON u.id = t.created_by WHERE t.pulp_id = $2),
given AS (
    INSERT INTO role_assignment (pulp_id, role_id, account_id, object_model, object_id)
    SELECT w.id, r.pulp_id, m.id, w.model, w.object
      FROM maker m CROSS JOIN unnest($4, $5, $6) w (id, model, object) JOIN role r ON r.name = w.model || '_owner'
        ON CONFLICT DO NOTHING
    RETURNING role_id, object_model, object_id)
INSERT INTO audit_entry (actor, action, object, details, logging_cid)
SELECT m.username, 'assignment.create', 'prn:' || g.object_model || ':' || coalesce(
           (SELECT o.id::text FROM account_group o WHERE o.object_id = g.object_id AND g.object_model = 'core.group'),
           g.object_id::text),
       jsonb_build_object('role', r.name, 'users', jsonb_build_array(m.username)), m.cid
  FROM given g JOIN role r ON r.pulp_id = g.role_id CROSS JOIN maker m
