//! Counters of a worker process.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($name:ident: $help:literal),+ $(,)?) => {
        /// What has happened since the process started.
        #[derive(Default)]
        pub(crate) struct Metrics { $(pub(crate) $name: Counter),+ }

        impl Metrics {
            /// The counters in Prometheus' text form.
            pub(crate) fn render(&self) -> String {
                let mut text = String::new();
                $(
                    // Writing into a string does not fail.
                    let _ = writeln!(
                        text,
                        concat!("# HELP millrace_", stringify!($name), "_total ", $help, "\n",
                                "# TYPE millrace_", stringify!($name), "_total counter\n",
                                "millrace_", stringify!($name), "_total {}"),
                        self.$name.get(),
                    );
                )+
                text
            }
        }
    };
}

counters! {
    claims: "Tasks claimed.",
    stale_deliveries: "Messages about tasks that did not wait.",
    paused_deliveries: "Messages about tasks that are paused.",
    lock_refusals: "Claims refused because a lock was held.",
    lock_table_refusals: "Claims refused because the lock table of the server had no room.",
    unknown_types: "Messages about tasks that this worker does not know or lacks the version for.",
    fence_rejections: "Runs that ended after their claim was lost.",
    session_losses: "Runs whose database session was lost.",
    hand_backs: "Tasks handed back.",
    terminated_workers: "Hung workers whose sessions were terminated.",
}

/// A number that only grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
