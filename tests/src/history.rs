//! The offline checker of a recorded history: which runs there were, and whether any of them broke a
//! promise of the lanes.

use crate::Sql;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One run of a task as an outsider saw it: begun not later and ended not earlier than noted.
#[derive(Clone, Debug)]
pub struct Run {
    /// The task.
    pub task: String,
    /// Its place in its lanes.
    pub ticket: i64,
    /// What it reserved alone.
    pub exclusive: BTreeSet<String>,
    /// What it reserved beside others.
    pub shared: BTreeSet<String>,
    /// When its body began, on a clock that all runs share.
    pub start: u64,
    /// When its body ended, or was last seen alive.
    pub end: u64,
}

/// What is wrong with these runs; empty where the promises held.
///
/// Of two tasks that conflict, the one with the earlier ticket must have ended before the other
/// begins: that is exclusion and order in one. Runs of the same task never overlap.
#[must_use]
pub fn violations(runs: &[Run]) -> Vec<String> {
    let mut lanes: BTreeMap<&str, Vec<(&Run, bool)>> = BTreeMap::new();
    for run in runs {
        for (names, exclusive) in [(&run.exclusive, true), (&run.shared, false)] {
            for name in names {
                lanes.entry(name).or_default().push((run, exclusive));
            }
        }
    }
    let mut found = BTreeSet::new();
    for (lane, mut held) in lanes {
        held.sort_by_key(|(run, _)| (run.ticket, run.start));
        for (i, (earlier, earlier_exclusive)) in held.iter().enumerate() {
            for (later, later_exclusive) in &held[i + 1..] {
                if later.ticket == earlier.ticket && later.start < earlier.end {
                    found.insert(format!("{} ran twice at a time", later.task));
                }
                let conflict = *earlier_exclusive || *later_exclusive;
                if later.ticket == earlier.ticket || !conflict || later.start >= earlier.end {
                    continue;
                }
                let what = if later.start < earlier.start {
                    "overtook"
                } else {
                    "overlapped"
                };
                found.insert(format!(
                    "on {lane}, {} (ticket {}, {}..{}) {what} {} (ticket {}, {}..{})",
                    later.task,
                    later.ticket,
                    later.start,
                    later.end,
                    earlier.task,
                    earlier.ticket,
                    earlier.start,
                    earlier.end
                ));
            }
        }
    }
    found.into_iter().collect()
}

/// All tasks: id, ticket, state, name, attempts, the reason of a failure, and the record of reservations.
pub async fn rows(sql: &Sql) -> Vec<Value> {
    let rows = "SELECT json_build_object('id', pulp_id, 'ticket', ticket, 'state', state, 'name', name, 'attempts', attempts,
                       'reason', error ->> 'reason', 'record', reserved_resources_record)::text FROM task";
    let rows = sql.texts(rows).await;
    rows.iter()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

/// The runs that tasks of the ledger wrote down in this file, with what their rows say of lanes.
#[must_use]
pub fn read(file: &Path, rows: &[Value]) -> Vec<Run> {
    let mut runs: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        let at: u64 = text("at").parse().unwrap();
        let seen = runs
            .entry((text("task"), text("claim")))
            .or_insert((at, at));
        seen.1 = seen.1.max(at);
    }
    let rows: BTreeMap<&str, &Value> = rows
        .iter()
        .map(|r| (r["id"].as_str().unwrap(), r))
        .collect();
    runs.into_iter()
        .map(|((task, _), (start, end))| {
            let row = rows[task.as_str()];
            let record: Vec<&str> = row["record"]
                .as_array()
                .unwrap()
                .iter()
                .map(|r| r.as_str().unwrap())
                .collect();
            let (shared, exclusive): (Vec<_>, Vec<_>) =
                record.into_iter().partition(|r| r.starts_with("shared:"));
            Run {
                ticket: row["ticket"].as_i64().unwrap(),
                exclusive: exclusive.into_iter().map(ToOwned::to_owned).collect(),
                shared: shared
                    .into_iter()
                    .map(|r| r["shared:".len()..].to_owned())
                    .collect(),
                task,
                start,
                end,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(ticket: i64, exclusive: &[&str], shared: &[&str], start: u64, end: u64) -> Run {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        let (exclusive, shared) = (names(exclusive), names(shared));
        Run {
            task: format!("t{ticket}"),
            ticket,
            exclusive,
            shared,
            start,
            end,
        }
    }

    #[test]
    fn readers_together_and_writers_in_order_are_fine() {
        let runs = [
            run(1, &["a"], &["d"], 0, 5),
            run(2, &[], &["a", "d"], 5, 9),
            run(3, &[], &["a", "d"], 6, 8),
            run(4, &["b"], &["d"], 0, 9),
        ];
        assert_eq!(violations(&runs), Vec::<String>::new());
    }

    #[test]
    fn overlap_overtaking_and_a_doubled_run_are_found() {
        let overlap = [run(1, &["a"], &[], 0, 5), run(2, &[], &["a"], 4, 9)];
        assert!(violations(&overlap)[0].contains("overlapped"));
        let overtaking = [run(2, &["a"], &[], 0, 5), run(1, &["a"], &[], 6, 9)];
        assert!(violations(&overtaking)[0].contains("overtook"));
        let twice = [run(1, &[], &["a"], 0, 5), run(1, &[], &["a"], 4, 9)];
        assert!(violations(&twice)[0].contains("twice"));
    }
}
