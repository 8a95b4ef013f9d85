CREATE INDEX CONCURRENTLY IF NOT EXISTS content_rpm_checksum ON content ((fields ->> 'checksum')) WHERE pulp_type = 'rpm.package';
