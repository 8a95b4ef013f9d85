-- What the runs of a task have counted, added to in the transaction that did what is counted: a run after one
-- that died goes on with it, so that the task's result is that of all of them.
CREATE TABLE task_tally (
    task_id uuid NOT NULL REFERENCES task ON DELETE CASCADE,
    key text NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (task_id, key)
) WITH (fillfactor = 50);

-- The task that buried a file, where it says in the end which of its files could not be removed.
ALTER TABLE tombstone ADD COLUMN buried_by uuid;
CREATE INDEX tombstone_buried_by ON tombstone (buried_by) WHERE buried_by IS NOT NULL;
