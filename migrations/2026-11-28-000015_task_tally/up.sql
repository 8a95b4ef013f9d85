-- What the runs of a task have counted, added to in the transaction that did what is counted: a run after one
-- that died goes on with it, so that the task's result is that of all of them.
CREATE TABLE task_tally (
    task_id uuid NOT NULL REFERENCES task ON DELETE CASCADE,
    key text NOT NULL,
    value bigint NOT NULL,
    PRIMARY KEY (task_id, key)
) WITH (fillfactor = 50);
