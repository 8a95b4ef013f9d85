-- What an object store calls an upload in parts: whoever gives the upload up has the parts removed by it.
ALTER TABLE intent ADD COLUMN multipart text;
ALTER TABLE tombstone ADD COLUMN multipart text;

CREATE INDEX upload_domain ON upload (pulp_domain);
CREATE INDEX temporary_file_domain ON temporary_file (pulp_domain);

-- A run looks for what an earlier run of its task saved, and forgets what units hold by now.
CREATE INDEX task_use_task ON task_use (task_id);
CREATE INDEX publication_domain ON publication (pulp_domain);
