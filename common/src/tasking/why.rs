//! Why a task waits.

use super::registry::version_satisfies;
use super::resources::Resources;
use super::state::TaskState;
use crate::broker::BrokerView;
use crate::db::Conn;
use crate::error::Error;
use crate::ids::TaskId;
use crate::models::app_status::AppStatus;
use crate::models::blocker::{Blocker, WaitingTask};
use crate::models::lane::LaneHolder;
use crate::models::{Lane, Pause, PauseKind};
use serde_json::Value;

/// The first reason, in the order in which they are to be dealt with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the messages say what each means")]
pub enum Verdict {
    NotWaiting,
    Paused,
    Lanes,
    NoWorker,
    BrokerUnreachable,
    Deferred,
    Unpublished,
    NoFreeWorker,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::NotWaiting,
        Self::Paused,
        Self::Lanes,
        Self::NoWorker,
        Self::BrokerUnreachable,
        Self::Deferred,
        Self::Unpublished,
        Self::NoFreeWorker,
    ];

    /// The word for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotWaiting => "not_waiting",
            Self::Paused => "paused",
            Self::Lanes => "lanes",
            Self::NoWorker => "no_worker",
            Self::BrokerUnreachable => "broker_unreachable",
            Self::Deferred => "deferred",
            Self::Unpublished => "unpublished",
            Self::NoFreeWorker => "no_free_worker",
        }
    }
}

/// What a verdict goes by.
#[derive(Clone, Copy, Debug)]
struct Facts {
    is_waiting: bool,
    is_paused: bool,
    is_unblocked: bool,
    is_deferred: bool,
    is_announced: bool,
    /// Workers that are online and have the versions that the task needs.
    able_workers: usize,
    /// Tasks of its work class that run.
    class_running: i64,
    broker: BrokerView,
}

fn judge(facts: Facts) -> Verdict {
    // A slot that runs a task for minutes takes no messages: it is no consumer meanwhile.
    let is_unserved = facts.class_running == 0
        && matches!(facts.broker, BrokerView::Reachable(Some(queue)) if queue.consumers == 0);
    match facts.broker {
        _ if !facts.is_waiting => Verdict::NotWaiting,
        _ if facts.is_paused => Verdict::Paused,
        _ if !facts.is_unblocked => Verdict::Lanes,
        _ if facts.able_workers == 0 => Verdict::NoWorker,
        BrokerView::Unreachable | BrokerView::Refuses => Verdict::BrokerUnreachable,
        BrokerView::Reachable(_) if is_unserved => Verdict::NoWorker,
        BrokerView::Reachable(_) if facts.is_deferred => Verdict::Deferred,
        BrokerView::Reachable(_) if !facts.is_announced => Verdict::Unpublished,
        BrokerView::Reachable(_) => Verdict::NoFreeWorker,
    }
}

/// Everything that is known about a task that waits.
#[derive(Clone, Debug)]
pub struct Why {
    /// The task.
    pub task: WaitingTask,
    /// The first reason.
    pub verdict: Verdict,
    /// The reason in a sentence that says what to do. Names no other task.
    pub message: String,
    /// Its resources; see [`Blocker::of`].
    pub blockers: Vec<Blocker>,
    /// Who holds those; see [`Lane::holders`].
    pub holders: Vec<LaneHolder>,
    /// The pauses that concern it.
    pub pauses: Vec<Pause>,
    /// Workers that are online.
    pub online_workers: usize,
    /// Those of them that have the versions which it needs.
    pub able_workers: usize,
    /// What was seen of the broker.
    pub broker: BrokerView,
}

/// Finds out why a task waits; `broker` is what the caller sees of it. One picture of the database. `None`: there is
/// no such task.
///
/// # Errors
/// As the session.
pub async fn why(conn: &mut Conn, id: TaskId, broker: BrokerView) -> Result<Option<Why>, Error> {
    conn.build_transaction()
        .read_only()
        .repeatable_read()
        .run(async |conn| look(conn, id, broker).await)
        .await
}

async fn look(conn: &mut Conn, id: TaskId, broker: BrokerView) -> Result<Option<Why>, Error> {
    let Some(task) = WaitingTask::find(conn, id).await? else {
        return Ok(None);
    };
    let blockers = Blocker::of(conn, id).await?;
    let shown: Vec<&str> = blockers.iter().map(|b| b.resource.as_str()).collect();
    let holders = Lane::holders(conn, &shown).await?;
    let record = Resources::from_record(&task.reserved_resources_record);
    let names = record.exclusive_names().chain(record.shared_names());
    let pauses = Pause::on(conn, &task.name, &names.collect::<Vec<_>>()).await?;
    let workers = AppStatus::online(conn).await?;
    let workers = workers
        .iter()
        .filter(|process| process.app_type == "worker");
    let online_workers = workers.clone().count();
    let able_workers = workers
        .filter(|worker| is_able(&worker.versions, &task.versions))
        .count();
    let verdict = judge(Facts {
        is_waiting: task.state == TaskState::Waiting.as_str(),
        is_paused: !pauses.is_empty(),
        is_unblocked: task.unblocked_at.is_some(),
        is_deferred: task.is_deferred,
        is_announced: task.announced_at.is_some(),
        able_workers,
        class_running: task.class_running,
        broker,
    });
    let mut why = Why {
        task,
        verdict,
        message: String::new(),
        blockers,
        holders,
        pauses,
        online_workers,
        able_workers,
        broker,
    };
    why.message = why.sentence();
    Ok(Some(why))
}

/// True where a worker with these component versions has what a task needs.
fn is_able(have: &Value, need: &Value) -> bool {
    let Some(need) = need.as_object() else {
        return true;
    };
    need.iter().all(|(component, wanted)| {
        let have = have.get(component).and_then(Value::as_str);
        let wanted = wanted.as_str().unwrap_or_default();
        have.is_some_and(|have| version_satisfies(have, wanted))
    })
}

impl Why {
    fn sentence(&self) -> String {
        let class = &self.task.class;
        match self.verdict {
            Verdict::NotWaiting => self.not_waiting(),
            Verdict::Paused => self.paused(),
            Verdict::Lanes => self.in_lanes(),
            Verdict::NoWorker if self.online_workers == 0 => {
                "No worker is online: start one.".into()
            }
            Verdict::NoWorker if self.able_workers == 0 => format!(
                "None of the {} workers that are online has the versions that the task needs ({}): upgrade one.",
                self.online_workers, self.task.versions
            ),
            Verdict::NoWorker => format!(
                "No worker that is online takes tasks of the work class `{class}`: give one slots for it."
            ),
            Verdict::BrokerUnreachable if self.broker == BrokerView::Refuses => {
                "RabbitMQ has an alarm and takes no messages: give it memory or disk space.".into()
            }
            Verdict::BrokerUnreachable => {
                "RabbitMQ cannot be reached: once it is back, the task is announced within seconds."
                    .into()
            }
            Verdict::Deferred => match self.task.not_before {
                Some(moment) => format!(
                    "A worker could not take it and put it off until {}: a lock was still held, or its type is not \
                     known there; the log of the workers says which.",
                    moment.format("%Y-%m-%dT%H:%M:%SZ")
                ),
                None => "It was held by a pause that has ended, and is released within seconds.".into(),
            },
            Verdict::Unpublished => {
                "Nothing is in front of it, and its announcement has not been confirmed yet: a worker announces it \
                 again within seconds."
                    .into()
            }
            Verdict::NoFreeWorker => format!(
                "It is published, and every slot of the work class `{class}` is busy: wait, or start more workers."
            ),
        }
    }

    fn not_waiting(&self) -> String {
        match self.task.state.as_str() {
            "running" => "It does not wait: it runs.".into(),
            "canceling" => "It does not wait: it was canceled and is about to end.".into(),
            state => format!("It does not wait: it has ended as {state}."),
        }
    }

    fn paused(&self) -> String {
        let names: Vec<String> = self.pauses.iter().take(3).map(named).collect();
        let more = match self.pauses.len().saturating_sub(names.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let names = names.join(", ");
        format!("Paused: {names}{more}. It starts once that has been resumed.")
    }

    fn in_lanes(&self) -> String {
        let mut blocked = self.blockers.iter().filter(|blocker| blocker.blocked);
        let Some(first) = blocked.next() else {
            return "The last task in front of it has just ended: it is announced at once.".into();
        };
        let others = match blocked.count() {
            0 => String::new(),
            others => format!(", and for {others} resources more"),
        };
        let count = match first.in_front {
            1 => "1 earlier task".to_owned(),
            count if count >= crate::models::blocker::COUNTED => {
                format!("{count} or more earlier tasks")
            }
            count => format!("{count} earlier tasks"),
        };
        format!(
            "It waits for the end of {count} in the lane of {}{others}: wait, or cancel them.",
            first.resource
        )
    }
}

fn named(pause: &Pause) -> String {
    let what = if pause.kind == PauseKind::Task.as_str() {
        "the task type"
    } else {
        "the lane of"
    };
    match pause.reason.as_str() {
        "" => format!("{what} {}", pause.name),
        reason => format!("{what} {} ({reason})", pause.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::QueueState;
    use serde_json::json;

    fn served(consumers: u32) -> BrokerView {
        BrokerView::Reachable(Some(QueueState {
            messages: 1,
            consumers,
        }))
    }

    /// Published, and nobody is free.
    fn published() -> Facts {
        Facts {
            is_waiting: true,
            is_paused: false,
            is_unblocked: true,
            is_deferred: false,
            is_announced: true,
            able_workers: 2,
            class_running: 4,
            broker: served(4),
        }
    }

    #[test]
    fn the_first_reason_counts() {
        let mut facts = published();
        assert_eq!(judge(facts), Verdict::NoFreeWorker);
        facts.is_announced = false;
        assert_eq!(judge(facts), Verdict::Unpublished);
        facts.is_deferred = true;
        assert_eq!(judge(facts), Verdict::Deferred);
        facts.broker = BrokerView::Refuses;
        assert_eq!(judge(facts), Verdict::BrokerUnreachable);
        facts.broker = BrokerView::Unreachable;
        assert_eq!(judge(facts), Verdict::BrokerUnreachable);
        facts.able_workers = 0;
        assert_eq!(judge(facts), Verdict::NoWorker);
        facts.is_unblocked = false;
        assert_eq!(judge(facts), Verdict::Lanes);
        facts.is_paused = true;
        assert_eq!(judge(facts), Verdict::Paused);
        facts.is_waiting = false;
        assert_eq!(judge(facts), Verdict::NotWaiting);
    }

    #[test]
    fn a_class_is_served_by_who_listens_or_runs() {
        let mut facts = published();
        facts.broker = served(0);
        assert_eq!(judge(facts), Verdict::NoFreeWorker, "slots are busy");
        facts.class_running = 0;
        assert_eq!(judge(facts), Verdict::NoWorker);
        facts.broker = BrokerView::Reachable(None);
        assert_eq!(judge(facts), Verdict::NoFreeWorker, "nothing is known");
    }

    #[test]
    fn a_worker_is_able_that_has_every_version() {
        let have = json!({"core": "3.10.0", "file": "3.10.0"});
        assert!(is_able(&have, &json!({})));
        assert!(is_able(&have, &json!({"core": "3.9"})));
        assert!(!is_able(&have, &json!({"core": "3.11"})));
        assert!(!is_able(&have, &json!({"core": "3.9", "rpm": "1"})));
    }

    #[test]
    fn words_are_all_different() {
        let words: std::collections::BTreeSet<_> = Verdict::ALL.map(Verdict::as_str).into();
        assert_eq!(words.len(), Verdict::ALL.len());
    }
}
