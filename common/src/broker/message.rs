//! What a dispatch message holds. The body is for workers; properties and headers are for people
//! who read them in the management UI.

use super::announcement::Announcement;
use crate::ids::TaskId;
use chrono::{DateTime, Utc};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the body that this program writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// Resource names in headers take at most this many bytes together: a frame bounds the header.
const HEADER_BYTES: usize = 4096;

/// The body of a dispatch message.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    /// Version of this form.
    pub v: u32,
    /// The task.
    pub id: TaskId,
    /// Its type's name.
    pub name: String,
    /// Its work class.
    pub class: String,
    /// Component versions that a worker needs at least.
    pub versions: BTreeMap<String, String>,
    /// Number of the announcement.
    pub number: i32,
    /// When it was announced, by the clock of the database.
    pub announced_at: DateTime<Utc>,
}

/// Why a message cannot be used: it goes to the dead-letter queue.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not the JSON of a message.
    #[error("not a dispatch message: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by a newer program.
    #[error("format {0} is newer than {FORMAT}")]
    Newer(u32),
}

impl Message {
    /// Reads a body.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn decode(body: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let Version { v } = serde_json::from_slice(body)?;
        if v > FORMAT {
            return Err(Unreadable::Newer(v));
        }
        Ok(serde_json::from_slice(body)?)
    }

    /// What a message of this announcement says, published then.
    #[must_use]
    pub fn of(announcement: &Announcement, announced_at: DateTime<Utc>) -> Self {
        Self {
            v: FORMAT,
            id: announcement.id,
            name: announcement.name.clone(),
            class: announcement.class.clone(),
            versions: announcement.versions.clone(),
            number: announcement.number,
            announced_at,
        }
    }
}

pub(super) fn properties(
    announcement: &Announcement,
    announced_at: DateTime<Utc>,
) -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_message_id(announcement.id.to_string().into())
        .with_correlation_id(announcement.cid.as_str().into())
        .with_type(announcement.name.as_str().into())
        .with_app_id("millrace".into())
        .with_timestamp(u64::try_from(announced_at.timestamp()).unwrap_or(0))
        .with_headers(headers(announcement))
}

fn headers(announcement: &Announcement) -> FieldTable {
    let mut room = HEADER_BYTES;
    let (mut exclusive, mut shared) = (FieldArray::default(), FieldArray::default());
    let mut shown = 0;
    for entry in &announcement.resources {
        if entry.len() > room {
            break;
        }
        room -= entry.len();
        shown += 1;
        match entry.strip_prefix("shared:") {
            Some(name) => shared.push(AMQPValue::LongString(name.into())),
            None => exclusive.push(AMQPValue::LongString(entry.as_str().into())),
        }
    }
    let mut table = FieldTable::default();
    table.insert(
        "x-exclusive-resources".into(),
        AMQPValue::FieldArray(exclusive),
    );
    table.insert("x-shared-resources".into(), AMQPValue::FieldArray(shared));
    table.insert(
        "x-task-attempt".into(),
        AMQPValue::LongInt(announcement.attempt),
    );
    table.insert(
        "x-ticket".into(),
        AMQPValue::LongLongInt(announcement.ticket),
    );
    if shown < announcement.resource_count {
        table.insert(
            "x-resource-count".into(),
            AMQPValue::LongInt(announcement.resource_count),
        );
        table.insert("x-resources-truncated".into(), AMQPValue::Boolean(true));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announcement(resources: Vec<String>) -> Announcement {
        Announcement {
            id: TaskId::new(),
            name: "a.b".into(),
            class: "default".into(),
            ticket: 7,
            number: 1,
            attempt: 1,
            versions: BTreeMap::new(),
            at: Utc::now(),
            cid: "c".into(),
            resource_count: i32::try_from(resources.len()).unwrap(),
            resources,
        }
    }

    #[test]
    fn a_message_reads_back_and_a_newer_one_is_refused() {
        let message = Message::of(&announcement(vec![]), Utc::now());
        let body = serde_json::to_vec(&message).unwrap();
        assert_eq!(Message::decode(&body).unwrap().id, message.id);
        let newer = br#"{"v": 2, "what": "ever"}"#;
        assert!(matches!(Message::decode(newer), Err(Unreadable::Newer(2))));
        assert!(matches!(
            Message::decode(b"hello"),
            Err(Unreadable::Json(_))
        ));
    }

    #[test]
    fn headers_stay_small_and_say_what_they_leave_out() {
        let few = headers(&announcement(vec!["a".into(), "shared:b".into()]));
        assert!(!few.contains_key("x-resources-truncated"));
        let many = headers(&announcement(
            (0..200).map(|n| format!("{n:0>100}")).collect(),
        ));
        assert!(many.contains_key("x-resources-truncated"));
        let Some(AMQPValue::FieldArray(exclusive)) = many.inner().get("x-exclusive-resources")
        else {
            panic!("no array")
        };
        assert_eq!(exclusive.as_slice().len(), HEADER_BYTES / 100);
    }
}
