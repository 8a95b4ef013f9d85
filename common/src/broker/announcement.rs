//! What is said about an unblocked task: the content of a dispatch message.

use crate::ids::TaskId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Says that a task may be claimed. Losing one, or getting it three times, costs time only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// The task.
    pub id: TaskId,
    /// Its type's name.
    pub name: String,
    /// Its work class.
    pub class: String,
    /// Its place in its lanes.
    pub ticket: i64,
    /// Number of this announcement; a confirmation of an older number is not noted.
    pub number: i32,
    /// Which run this would be, from 1.
    pub attempt: i32,
    /// Component versions that a worker needs at least.
    pub versions: BTreeMap<String, String>,
    /// When it became due, by the clock of the database.
    pub at: DateTime<Utc>,
    /// Correlation id of the request that dispatched it.
    pub cid: String,
    /// How many resources it reserves.
    pub resource_count: i32,
    /// The first of them, in stored form.
    pub resources: Vec<String>,
}

/// Announcements that a transaction made necessary: to be published after its commit.
#[derive(Clone, Debug, Default)]
#[must_use = "a task that is not announced waits for the janitor"]
pub struct Announcements(pub Vec<Announcement>);

impl Announcements {
    /// Takes the first out that fulfils this, which is then not published.
    pub(crate) fn take(&mut self, wanted: impl Fn(&Announcement) -> bool) -> Option<Announcement> {
        let place = self.0.iter().position(wanted)?;
        Some(self.0.remove(place))
    }

    /// Reads what the engine's functions return.
    pub(crate) fn from_json(value: serde_json::Value) -> Result<Self, serde_json::Error> {
        if value.is_null() {
            return Ok(Self::default());
        }
        serde_json::from_value(value).map(Self)
    }
}
