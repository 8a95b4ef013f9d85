//! Calls for operators: lanes, pauses, why a task waits, and what happens.

use super::lanes::{self, LaneResponse};
use super::pauses::{self, PauseRequest, PauseResponse};
use super::tasks::{self, BlockersResponse, event_parameters};
use crate::route::{Endpoint, delete, get, post};

/// Them.
pub fn table() -> Vec<Endpoint> {
    const PAUSE: &str = "pauses/{pause_href}/";
    vec![
        get("tasks/events/", "tasks_events", tasks::events)
            .tag("Tasks")
            .about("State changes as server-sent events, as they happen")
            .streams(event_parameters()),
        get(
            "tasks/{task_href}/blockers/",
            "tasks_blockers",
            tasks::blockers,
        )
        .tag("Tasks")
        .about("Why a task waits, and what is in front of it")
        .answers::<BlockersResponse>(200),
        get("lanes/", "lanes_list", lanes::list)
            .tag("Lanes")
            .about("Busy resources, the longest queue first; for administrators")
            .lists::<LaneResponse, _>(&lanes::FILTERS),
        get("pauses/", "pauses_list", pauses::list)
            .tag("Pauses")
            .about("What is not to start for now, the newest first; for administrators")
            .lists::<PauseResponse, _>(&pauses::FILTERS),
        post("pauses/", "pauses_create", pauses::create)
            .tag("Pauses")
            .about("Pause a resource or a task type; for administrators")
            .accepts::<PauseRequest>()
            .answers::<PauseResponse>(201),
        get(PAUSE, "pauses_read", pauses::read)
            .tag("Pauses")
            .about("One pause; for administrators")
            .answers::<PauseResponse>(200),
        delete(PAUSE, "pauses_delete", pauses::remove)
            .tag("Pauses")
            .about("End a pause: its tasks start; for administrators")
            .answers_nothing(204),
    ]
}
