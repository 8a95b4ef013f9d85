//! The offline checker of a recorded history: which runs there were, and whether any of them broke a
//! promise of the lanes.

use std::collections::{BTreeMap, BTreeSet};

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
