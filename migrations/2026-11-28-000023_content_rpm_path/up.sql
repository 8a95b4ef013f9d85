-- Packages at or below a path: no version may hold two of them in one place.
CREATE INDEX CONCURRENTLY IF NOT EXISTS content_rpm_path ON content ((fields ->> 'relativepath') text_pattern_ops) WHERE pulp_type = 'rpm.package';
