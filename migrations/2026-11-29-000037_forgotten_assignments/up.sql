-- Roles that go with an object are noted. Planner switches: a plan that was made while the table was small would stay when
-- it is large.
CREATE FUNCTION millrace_forget_assignments_of(ids uuid[], names text[]) RETURNS void LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    WITH gone AS (SELECT * FROM unnest(ids, names) g (id, name)),
    taken AS (
        DELETE FROM role_assignment a USING gone WHERE a.object_id = gone.id
        RETURNING a.role_id, a.account_id, a.group_id, 'prn:' || a.object_model || ':' || gone.name AS object)
    INSERT INTO audit_entry (action, object, details)
    SELECT 'assignment.delete', t.object, jsonb_build_object('role', r.name,
               'users', coalesce(jsonb_agg(u.username ORDER BY u.username) FILTER (WHERE u.id IS NOT NULL), '[]'),
               'groups', coalesce(jsonb_agg(g.name ORDER BY g.name) FILTER (WHERE g.id IS NOT NULL), '[]'),
               'deleted_with', t.object)
      FROM taken t JOIN role r ON r.pulp_id = t.role_id
      LEFT JOIN account u ON u.id = t.account_id LEFT JOIN account_group g ON g.id = t.group_id
     GROUP BY t.object, r.name ORDER BY t.object, r.name;
END $$;

CREATE OR REPLACE FUNCTION millrace_forget_assignments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM millrace_forget_assignments_of(array_agg(gone.pulp_id), array_agg(gone.pulp_id::text)) FROM gone;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION millrace_forget_group_assignments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM millrace_forget_assignments_of(array_agg(gone.object_id), array_agg(gone.id::text)) FROM gone;
    RETURN NULL;
END $$;
