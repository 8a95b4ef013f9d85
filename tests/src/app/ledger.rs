//! What the tasks of the example plug-in write down in the database, and a watch over states.

use crate::Sql;
use millrace_common::tasking::TaskState;

/// Makes the table, and records every change of a task's state, a second end in the same one too.
pub async fn make(sql: &Sql) {
    sql.run(
        "CREATE TABLE ledger (id bigserial PRIMARY KEY, task uuid NOT NULL, claim uuid NOT NULL, attempt int NOT NULL,
             what text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
         CREATE INDEX ON ledger (task);
         CREATE TABLE state_change (task uuid NOT NULL, was text NOT NULL, became text NOT NULL);
         CREATE FUNCTION record_state_change() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             INSERT INTO state_change VALUES (new.pulp_id, old.state, new.state);
             RETURN NULL;
         END $$;
         CREATE TRIGGER watch AFTER UPDATE OF state ON task FOR EACH ROW
             WHEN ((old.state, old.finished_at, old.result, old.error) IS DISTINCT FROM
                   (new.state, new.finished_at, new.result, new.error)) EXECUTE FUNCTION record_state_change()",
    )
    .await;
}

/// Lines of a kind that a task wrote.
pub async fn count(sql: &Sql, task: &str, what: &str) -> i64 {
    sql.number(&format!(
        "SELECT count(*) FROM ledger WHERE task = '{task}' AND what = '{what}'"
    ))
    .await
}

/// Moves between states that no task may make; a second end in the same state is one.
pub async fn forbidden_moves(sql: &Sql) -> Vec<String> {
    let moves = "SELECT DISTINCT was || ' ' || became FROM state_change";
    let is_forbidden = |made: &String| {
        let (was, became) = made.split_once(' ').unwrap();
        let (was, became): (TaskState, TaskState) = (was.parse().unwrap(), became.parse().unwrap());
        !was.may_become(became)
    };
    sql.texts(moves)
        .await
        .into_iter()
        .filter(is_forbidden)
        .collect()
}

/// Pairs of runs of one task of which the earlier wrote after the later had begun.
pub async fn overlapping_claims(sql: &Sql) -> i64 {
    sql.number(
        "WITH run AS (SELECT task, claim, min(attempt) AS attempt, min(id) AS first, max(id) AS last FROM ledger GROUP BY task, claim)
         SELECT count(*) FROM run a JOIN run b ON b.task = a.task AND b.claim <> a.claim AND b.first > a.first
          WHERE a.last > b.first",
    )
    .await
}
