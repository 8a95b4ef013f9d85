CREATE INDEX CONCURRENTLY IF NOT EXISTS content_rpm_version ON content ((fields ->> 'version')) WHERE pulp_type = 'rpm.package';
