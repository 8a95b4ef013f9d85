//! The schedules that the settings ask for (contract 2.12).

use super::{OrphanCleanup, Purge};
use crate::config::Tasks;
use crate::error::Error;
use crate::ids::DomainId;
use crate::models::TaskSchedule;
use crate::models::task_schedule::ManagedSchedule;
use crate::tasking::schedule::ScheduleArguments;
use crate::tasking::{Execution, Task, TaskState};
use log::{info, warn};
use serde_json::{Map, Value, json};

/// Bounds of the minutes between two runs.
const INTERVAL: (u32, u32) = (10, 1440);

/// A schedule by its setting.
struct Asked {
    name: &'static str,
    task_name: &'static str,
    /// Minutes; 0 removes it.
    interval: u32,
    kwargs: Value,
}

/// As often as what is protected gets old, within reason.
fn paced(minutes: u32) -> u32 {
    match minutes {
        0 => 0,
        minutes => minutes.clamp(INTERVAL.0, INTERVAL.1),
    }
}

fn asked(tasks: &Tasks) -> [Asked; 4] {
    [
        Asked {
            name: "Clean up stale uploads periodically",
            task_name: "pulpcore.app.tasks.orphan.upload_cleanup",
            interval: paced(tasks.upload_protection_time),
            kwargs: json!({}),
        },
        Asked {
            name: "Clean up stale shared temporary files periodically",
            task_name: "pulpcore.app.tasks.orphan.tmpfile_cleanup",
            interval: paced(tasks.tmpfile_protection_time),
            kwargs: json!({}),
        },
        Asked {
            name: "Clean up stale tasks periodically",
            task_name: Purge::NAME,
            interval: paced(tasks.task_protection_time),
            kwargs: json!({
                "states": TaskState::FINAL, "older_than_minutes": tasks.task_protection_time,
                "every_domain": true,
            }),
        },
        Asked {
            name: "Clean up stale content periodically",
            task_name: OrphanCleanup::NAME,
            interval: tasks.orphan_cleanup_interval,
            kwargs: json!({"orphan_protection_time": tasks.orphan_protection_time}),
        },
    ]
}

/// Brings the schedules of the settings into the database, at the start of a worker; one that is there keeps its
/// next time. The first run of a new one is a whole interval away. May run in any number of workers at once.
///
/// # Errors
/// As the database and the keyring.
pub async fn manage(execution: &Execution) -> Result<(), Error> {
    let mut conn = execution.db.get().await?;
    for asked in asked(&execution.settings.tasks) {
        let name = asked.name;
        if asked.interval == 0 {
            TaskSchedule::remove_named(&mut conn, DomainId::DEFAULT, name).await?;
            continue;
        }
        let arguments = ScheduleArguments {
            args: Vec::new(),
            kwargs: object(asked.kwargs),
        };
        if execution.registry.get(asked.task_name).is_none() {
            info!(
                "schedule `{name}` is left out: this worker has no {}",
                asked.task_name
            );
            continue;
        }
        if let Err(error) = arguments.clone().task(&execution.registry, asked.task_name) {
            warn!(error:% = error; "schedule `{name}` is left out: {error}");
            continue;
        }
        let managed = ManagedSchedule {
            name,
            task_name: asked.task_name,
            enc_args: &arguments.encrypt(&execution.keyring)?,
            dispatch_interval: i64::from(asked.interval) * 60,
        };
        TaskSchedule::manage(&mut conn, DomainId::DEFAULT, &managed).await?;
    }
    Ok(())
}

fn object(kwargs: Value) -> Map<String, Value> {
    match kwargs {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::tasking::Registry;

    #[test]
    fn a_schedule_runs_as_often_as_what_it_removes_gets_old_within_reason() {
        for (minutes, interval) in [(0, 0), (1, 10), (60, 60), (100_000, 1440)] {
            assert_eq!(paced(minutes), interval);
        }
    }

    #[test]
    fn the_schedules_fit_the_tasks_that_they_name() {
        let settings = Settings::from_variables(None, [("", "")]).unwrap();
        let mut registry = Registry::default();
        crate::tasks::register_all(&mut registry, false);
        for asked in asked(&settings.tasks) {
            if registry.get(asked.task_name).is_none() {
                continue;
            }
            let arguments = ScheduleArguments {
                args: Vec::new(),
                kwargs: object(asked.kwargs),
            };
            arguments.task(&registry, asked.task_name).unwrap();
        }
    }
}
