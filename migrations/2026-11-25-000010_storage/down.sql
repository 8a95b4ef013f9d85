DROP INDEX task_use_task;
DROP INDEX publication_domain;
DROP INDEX temporary_file_domain;
DROP INDEX upload_domain;
ALTER TABLE tombstone DROP COLUMN multipart;
ALTER TABLE intent DROP COLUMN multipart;
