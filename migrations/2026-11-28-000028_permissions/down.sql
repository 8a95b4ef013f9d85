CREATE INDEX role_assignment_account ON role_assignment (account_id) WHERE account_id IS NOT NULL;
CREATE INDEX role_assignment_group ON role_assignment (group_id) WHERE group_id IS NOT NULL;
DROP INDEX role_assignment_account_model;
DROP INDEX role_assignment_group_model;
