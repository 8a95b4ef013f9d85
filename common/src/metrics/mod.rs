//! What a process counts, in the text form of Prometheus.
//!
//! [`engine`] is what the engine counts wherever it runs, [`Process`] what every process says of itself; each program
//! adds its own. Labels have few values: task names are those of registered types, and all others are one.

mod engine;
mod process;

pub use engine::{Engine, HistogramFamily, engine};
pub use process::Process;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;
use std::collections::HashSet;
use std::sync::OnceLock;

/// The media type of [`render`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// The name of a task whose type this process does not know.
const OTHER: &str = "other";

static NAMES: OnceLock<HashSet<&'static str>> = OnceLock::new();

/// An empty registry; every name in it begins with `millrace_`.
#[must_use]
pub fn registry() -> Registry {
    Registry::with_prefix("millrace")
}

/// The text of all metrics.
#[must_use]
pub fn render(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = prometheus_text::encode(&mut text, registry);
    text
}

/// Says which task types this process knows: only they are labels. Once a process; what comes later is ignored.
pub fn know_tasks(names: impl IntoIterator<Item = &'static str>) {
    let _ = NAMES.set(names.into_iter().collect());
}

/// The label of a task name.
#[must_use]
pub fn task_label(name: &str) -> &'static str {
    NAMES
        .get()
        .and_then(|names| names.get(name))
        .copied()
        .unwrap_or(OTHER)
}
