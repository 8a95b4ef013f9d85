CREATE INDEX CONCURRENTLY IF NOT EXISTS content_rpm_release ON content ((fields ->> 'release')) WHERE pulp_type = 'rpm.package';
