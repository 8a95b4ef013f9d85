//! `millrace-api doctor`: looks at everything that the programs need, and says how to mend what is amiss.
//!
//! Nothing is changed but a probe in the artifact store, which is removed again. No line holds a secret.

mod broker;
mod database;
mod encryption;
mod fleet;
mod report;
mod server;
mod store;

use super::Failure;
use millrace_common::catalog::Catalog;
use millrace_common::config::Settings;
use report::Report;
use std::collections::BTreeSet;
use std::io::Write;

/// Checks all, prints a line each, and fails where a check does.
pub async fn doctor(
    settings: &Settings,
    register: fn(&mut Catalog),
    json: bool,
) -> Result<(), Failure> {
    let mut report = Report::default();
    let classes = classes(settings, register, &mut report);
    let conn = database::check(settings, &mut report).await;
    if let Some(mut conn) = conn {
        encryption::database(settings, &mut conn, &mut report).await;
        server::check(settings, &mut conn, &mut report).await;
        if database::migrations(settings, &mut report).await {
            fleet::check(&mut conn, &mut report).await;
        }
    }
    broker::check(settings, &classes, &mut report).await;
    encryption::broker(settings, &mut report);
    encryption::api(settings, &mut report).await;
    store::check(settings, &mut report).await;
    let text = if json { report.json() } else { report.text() };
    // Written, not printed: a reader that stops early (`| head`) is no fault.
    let _ = writeln!(std::io::stdout(), "{text}");
    match report.failures() {
        0 => Ok(()),
        1 => Err("one check failed".into()),
        count => Err(format!("{count} checks failed").into()),
    }
}

/// The work classes of all task types, and of the slots of the settings.
fn classes(settings: &Settings, register: fn(&mut Catalog), report: &mut Report) -> Vec<String> {
    const NAME: &str = "settings.classes";
    let catalog = match Catalog::load(settings, register) {
        Ok(catalog) => catalog,
        Err(error) => {
            report.fail(NAME, error, "Mend the type definitions of the plug-in.");
            return Vec::new();
        }
    };
    let mut classes: BTreeSet<&str> = catalog.tasks.types().map(|task| task.class).collect();
    match settings.worker.check_classes(classes.iter().copied()) {
        Ok(()) => report.ok(NAME, Vec::from_iter(classes.iter().copied()).join(", ")),
        Err(error) => report.fail(NAME, error, "Correct worker.slots."),
    }
    classes.extend(["default", "storage", "immediate"]);
    classes.into_iter().map(str::to_owned).collect()
}
