DROP INDEX content_rpm_path;
