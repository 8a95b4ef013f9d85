-- Packages are searched by these; those that share an architecture or an epoch are too many for an index.
CREATE INDEX CONCURRENTLY IF NOT EXISTS content_rpm_name ON content ((fields ->> 'name') text_pattern_ops) WHERE pulp_type = 'rpm.package';
