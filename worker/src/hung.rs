//! Workers that are connected but beat no more.

use log::warn;
use millrace_common::db::Conn;
use millrace_common::error::Error;
use millrace_common::ids::ProcessId;
use millrace_common::models::worker_session;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A worker hangs when its beat did not change over so many of ours ...
const BEATS: u32 = 10;
/// ... and over so much of our own time.
const SILENCE: Duration = Duration::from_secs(10);

struct Seen {
    beat: i64,
    since: Instant,
    unchanged: u32,
}

/// What this worker has seen of the others. Observed only when our own beat was committed, so that a
/// database that stands still accuses nobody.
#[derive(Default)]
pub(crate) struct Watch(HashMap<ProcessId, Seen>);

impl Watch {
    /// Takes note of the present beats; gives the workers that hang.
    pub(crate) fn observe(
        &mut self,
        beats: HashMap<ProcessId, i64>,
        now: Instant,
    ) -> Vec<ProcessId> {
        self.0.retain(|id, _| beats.contains_key(id));
        let mut hung = Vec::new();
        for (id, beat) in beats {
            let seen = self.0.entry(id).or_insert(Seen {
                beat,
                since: now,
                unchanged: 0,
            });
            if seen.beat != beat {
                *seen = Seen {
                    beat,
                    since: now,
                    unchanged: 0,
                };
                continue;
            }
            seen.unchanged += 1;
            if seen.unchanged > BEATS && now.duration_since(seen.since) >= SILENCE {
                hung.push(id);
                *seen = Seen {
                    beat,
                    since: now,
                    unchanged: 0,
                };
            }
        }
        hung
    }

    /// Starts anew: our own beat was interrupted.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}

/// Ends the sessions of a worker that hangs. Its tasks are rescued then.
pub(crate) async fn terminate(conn: &mut Conn, worker: ProcessId) -> Result<(), Error> {
    let ended = worker_session::end_all_of(conn, worker).await?;
    if ended > 0 {
        warn!(worker:% = worker; "worker {worker} hangs: {ended} of its database sessions were ended");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_hangs_after_ten_silent_beats_and_ten_seconds() {
        let (mut watch, id, start) = (Watch::default(), ProcessId::new(), Instant::now());
        let mut look = |beat, second: u64| {
            watch.observe(
                HashMap::from([(id, beat)]),
                start + Duration::from_secs(second),
            )
        };
        for second in 0..10 {
            assert!(look(7, second).is_empty());
        }
        assert!(look(8, 10).is_empty(), "it has moved");
        for second in 11..20 {
            assert!(look(8, second).is_empty());
        }
        assert!(look(8, 19).is_empty(), "enough beats, not enough time");
        assert_eq!(look(8, 21), [id]);
    }
}
