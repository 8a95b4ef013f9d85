DROP FUNCTION millrace_blocker(uuid);
DROP FUNCTION millrace_facts(uuid);
