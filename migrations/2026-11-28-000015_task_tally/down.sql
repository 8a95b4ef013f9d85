DROP TABLE task_tally;
