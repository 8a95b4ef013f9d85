-- What somebody holds on no object is found as fast as what he holds on the objects of a model, however many there are.
CREATE INDEX role_assignment_account_model ON role_assignment (account_id, object_model, object_id, role_id)
    WHERE account_id IS NOT NULL;
CREATE INDEX role_assignment_group_model ON role_assignment (group_id, object_model, object_id, role_id)
    WHERE group_id IS NOT NULL;
DROP INDEX role_assignment_account;
DROP INDEX role_assignment_group;
