//! The schedules that the settings ask for (contract 2.12).

use super::{OrphanCleanup, Purge, TmpfileCleanup, UploadCleanup};
use crate::config::Tasks;
use crate::error::Error;
use crate::ids::DomainId;
use crate::models::TaskSchedule;
use crate::models::task_schedule::ManagedSchedule;
use crate::tasking::schedule::ScheduleArguments;
use crate::tasking::{Execution, Task, TaskState};
use log::warn;
use serde_json::{Map, Value, json};

/// Bounds of the minutes between two runs.
const INTERVAL: (u32, u32) = (10, 1440);

/// What the schedules of the settings are called; nobody else's are.
const NAMES: [&str; 4] = [
    "Clean up stale uploads periodically",
    "Clean up stale shared temporary files periodically",
    "Clean up stale tasks periodically",
    "Clean up stale content periodically",
];

/// True for the name of a schedule that the settings may ask for.
#[must_use]
pub fn is_managed(name: &str) -> bool {
    NAMES.contains(&name)
}

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
            name: NAMES[0],
            task_name: UploadCleanup::NAME,
            interval: paced(tasks.upload_protection_time),
            kwargs: json!({}),
        },
        Asked {
            name: NAMES[1],
            task_name: TmpfileCleanup::NAME,
            interval: paced(tasks.tmpfile_protection_time),
            kwargs: json!({}),
        },
        Asked {
            name: NAMES[2],
            task_name: Purge::NAME,
            interval: paced(tasks.task_protection_time),
            kwargs: json!({
                "states": TaskState::FINAL, "older_than_minutes": tasks.task_protection_time,
                "every_domain": true,
            }),
        },
        Asked {
            name: NAMES[3],
            task_name: OrphanCleanup::NAME,
            interval: tasks.orphan_cleanup_interval,
            kwargs: json!({"orphan_protection_time": tasks.orphan_protection_time}),
        },
    ]
}

/// Brings the schedules of the settings into the database, at the start of a worker; one that is there keeps its
/// next time, and what somebody else made under their names stays as it is. The first run of a new one is a whole interval away. May run in any number of workers at once.
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
        if !TaskSchedule::manage(&mut conn, DomainId::DEFAULT, &managed).await? {
            warn!(schedule = name; "schedule `{name}` is left out: somebody else made one of this name");
        }
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
            let arguments = ScheduleArguments {
                args: Vec::new(),
                kwargs: object(asked.kwargs),
            };
            arguments.task(&registry, asked.task_name).unwrap();
        }
    }
}
