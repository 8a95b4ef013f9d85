//! What the engine counts.

use super::task_label;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};
use std::sync::LazyLock;

/// Waits, from the blink of an eye to half a day.
const WAITS: [f64; 12] = [
    0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 14400.0, 43200.0,
];

/// Run times, from a change of a row to a long synchronisation.
const RUNS: [f64; 11] = [
    0.01, 0.05, 0.2, 1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 28800.0,
];

/// A histogram for each set of labels.
pub type HistogramFamily<S> = Family<S, Histogram, fn() -> Histogram>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfType {
    name: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfEnd {
    name: &'static str,
    state: &'static str,
}

/// The counters of this process.
#[expect(missing_docs, reason = "`register` says what each counts")]
pub struct Engine {
    dispatched: Family<OfType, Counter>,
    ended: Family<OfEnd, Counter>,
    blocked: HistogramFamily<OfType>,
    waited: HistogramFamily<OfType>,
    ran: HistogramFamily<OfType>,
    pub unblocked: Counter,
    pub cancels: Counter,
    pub confirmed: Counter,
    pub returned: Counter,
    pub dropped: Counter,
    pub repeated: Counter,
    pub claims: Counter,
    pub dispatched_together: Counter,
    pub claimed_together: Counter,
    pub settled_together: Counter,
    pub stale_deliveries: Counter,
    pub lock_refusals: Counter,
    pub lock_table_refusals: Counter,
    pub unknown_types: Counter,
    pub paused_deliveries: Counter,
    pub fence_rejections: Counter,
    pub session_losses: Counter,
    pub hand_backs: Counter,
    pub terminated_workers: Counter,
    pub rescues: Counter,
    pub sweep_repairs: Counter,
    pub deadlines_passed: Counter,
    pub schedules_dispatched: Counter,
    pub schedules_put_off: Counter,
    pub files_removed: Counter,
}

static ENGINE: LazyLock<Engine> = LazyLock::new(Engine::new);

/// The counters of this process.
#[must_use]
pub fn engine() -> &'static Engine {
    &ENGINE
}

impl Engine {
    fn new() -> Self {
        let waits = || Family::new_with_constructor((|| Histogram::new(WAITS)) as fn() -> _);
        Self {
            dispatched: Family::default(),
            ended: Family::default(),
            blocked: waits(),
            waited: waits(),
            ran: Family::new_with_constructor(|| Histogram::new(RUNS)),
            unblocked: Counter::default(),
            cancels: Counter::default(),
            confirmed: Counter::default(),
            returned: Counter::default(),
            dropped: Counter::default(),
            repeated: Counter::default(),
            claims: Counter::default(),
            dispatched_together: Counter::default(),
            claimed_together: Counter::default(),
            settled_together: Counter::default(),
            stale_deliveries: Counter::default(),
            lock_refusals: Counter::default(),
            lock_table_refusals: Counter::default(),
            unknown_types: Counter::default(),
            paused_deliveries: Counter::default(),
            fence_rejections: Counter::default(),
            session_losses: Counter::default(),
            hand_backs: Counter::default(),
            terminated_workers: Counter::default(),
            rescues: Counter::default(),
            sweep_repairs: Counter::default(),
            deadlines_passed: Counter::default(),
            schedules_dispatched: Counter::default(),
            schedules_put_off: Counter::default(),
            files_removed: Counter::default(),
        }
    }

    /// A task of this type was recorded.
    pub fn count_dispatched(&self, name: &str) {
        let name = task_label(name);
        self.dispatched.get_or_create(&OfType { name }).inc();
    }

    /// A task of this type has ended in this state.
    pub fn count_ended(&self, name: &str, state: &'static str) {
        let name = task_label(name);
        self.ended.get_or_create(&OfEnd { name, state }).inc();
    }

    /// A task was claimed for the first time: so many seconds after its dispatch it was unblocked, and so
    /// many after that claimed.
    pub fn observe_wait(&self, name: &str, blocked: f64, waited: f64) {
        let of = OfType {
            name: task_label(name),
        };
        self.blocked.get_or_create(&of).observe(blocked.max(0.0));
        self.waited.get_or_create(&of).observe(waited.max(0.0));
    }

    /// A run took so many seconds.
    pub fn observe_run(&self, name: &str, seconds: f64) {
        let name = task_label(name);
        self.ran
            .get_or_create(&OfType { name })
            .observe(seconds.max(0.0));
    }

    /// Adds what every process that dispatches and ends tasks counts.
    pub fn register(&self, registry: &mut Registry) {
        add(
            registry,
            "tasks_dispatched",
            "Tasks recorded, by type",
            &self.dispatched,
        );
        add(
            registry,
            "dispatched_together",
            "Tasks of requests that were recorded in one transaction with those of others",
            &self.dispatched_together,
        );
        add(
            registry,
            "tasks_ended",
            "Tasks that came into a final state, by type and state",
            &self.ended,
        );
        add(
            registry,
            "tasks_unblocked",
            "Tasks that others stood in front of, and that can run since",
            &self.unblocked,
        );
        add(
            registry,
            "task_cancels",
            "Cancels asked of running tasks",
            &self.cancels,
        );
        add(
            registry,
            "announcements_confirmed",
            "Announcements that the broker has confirmed",
            &self.confirmed,
        );
        add(
            registry,
            "announcements_returned",
            "Announcements that no queue took, or the broker refused",
            &self.returned,
        );
        add(
            registry,
            "announcements_dropped",
            "Announcements dropped because the window was full or the broker away; they are repeated",
            &self.dropped,
        );
    }

    /// Adds what only workers count.
    pub fn register_worker(&self, registry: &mut Registry) {
        self.register_times(registry);
        self.register_claims(registry);
        add(
            registry,
            "announcements_repeated",
            "Announcements made again by the janitor",
            &self.repeated,
        );
        add(
            registry,
            "rescues",
            "Tasks taken from workers that are gone",
            &self.rescues,
        );
        add(
            registry,
            "sweep_repairs",
            "Tasks that promotion had left behind; must stay 0",
            &self.sweep_repairs,
        );
        add(
            registry,
            "deadlines_passed",
            "Tasks ended because their deadline had passed",
            &self.deadlines_passed,
        );
        add(
            registry,
            "schedules_dispatched",
            "Schedules dispatched",
            &self.schedules_dispatched,
        );
        add(
            registry,
            "schedules_put_off",
            "Schedules that were due and could not be dispatched",
            &self.schedules_put_off,
        );
        add(
            registry,
            "files_removed",
            "Files of the artifact store removed after their rows",
            &self.files_removed,
        );
    }

    fn register_times(&self, registry: &mut Registry) {
        add(
            registry,
            "task_blocked_seconds",
            "From the dispatch of a task until nothing stood in front of it, by type; at its first claim",
            &self.blocked,
        );
        add(
            registry,
            "task_wait_seconds",
            "From then until it was claimed, by type; at its first claim",
            &self.waited,
        );
        add(
            registry,
            "task_run_seconds",
            "From the claim of a task to the end of that run, by type",
            &self.ran,
        );
    }

    fn register_claims(&self, registry: &mut Registry) {
        for (name, help, counter) in [
            ("claims", "Tasks claimed", &self.claims),
            (
                "claimed_together",
                "Of them, those that were claimed in one transaction with others",
                &self.claimed_together,
            ),
            (
                "settled_together",
                "Runs settled in one transaction with others",
                &self.settled_together,
            ),
            (
                "stale_deliveries",
                "Messages about tasks that did not wait",
                &self.stale_deliveries,
            ),
            (
                "lock_refusals",
                "Claims given up because a lock stayed held",
                &self.lock_refusals,
            ),
            (
                "lock_table_refusals",
                "Claims refused because the lock table of PostgreSQL had no room",
                &self.lock_table_refusals,
            ),
            (
                "unknown_types",
                "Messages about tasks that this worker does not know or lacks the version for",
                &self.unknown_types,
            ),
            (
                "paused_deliveries",
                "Messages about tasks that are paused",
                &self.paused_deliveries,
            ),
            (
                "fence_rejections",
                "Runs that ended after their claim was lost: nothing of them was written",
                &self.fence_rejections,
            ),
            (
                "session_losses",
                "Runs whose database session was lost",
                &self.session_losses,
            ),
            (
                "hand_backs",
                "Tasks handed back by their worker",
                &self.hand_backs,
            ),
            (
                "terminated_workers",
                "Hung workers whose sessions were ended",
                &self.terminated_workers,
            ),
        ] {
            add(registry, name, help, counter);
        }
    }
}

fn add(registry: &mut Registry, name: &str, help: &str, metric: &(impl Metric + Clone)) {
    registry.register(name, help, metric.clone());
}
