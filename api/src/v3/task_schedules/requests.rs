//! What clients send about schedules.

use crate::body::{Any, Field, Fields, FromFields, Text, Wrong};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// Bytes of a name, as of other objects: what an index holds.
const NAME_BYTES: usize = 2000;
/// A hundred years, in seconds.
const LONGEST: i64 = 36_525 * 86_400;

/// A schedule to be made.
#[derive(Clone, Debug, ToSchema)]
#[schema(as = TaskSchedule)]
#[expect(
    missing_docs,
    reason = "named as in the contract; only its schema is used"
)]
pub struct TaskScheduleRequest {
    pub name: String,
    pub task_name: String,
    /// Arguments by position; never shown.
    #[schema(required = false, write_only)]
    pub task_args: Vec<Value>,
    /// Arguments by name; never shown.
    #[schema(required = false, write_only, value_type = Object)]
    pub task_kwargs: Map<String, Value>,
    /// `[D ]HH:MM:SS`; null: dispatched once.
    pub dispatch_interval: Option<String>,
    /// Now, when left out; null: never.
    pub next_dispatch: Option<DateTime<Utc>>,
    /// Each task is to be over so many seconds after its dispatch.
    #[schema(minimum = 1)]
    pub deadline_seconds: Option<i32>,
}

/// The fields that were sent; `None` where one was left out.
#[derive(Clone, Debug, Default)]
pub struct ScheduleFields {
    pub(super) name: Option<String>,
    pub(super) task_name: Option<String>,
    pub(super) task_args: Option<Vec<Value>>,
    pub(super) task_kwargs: Option<Map<String, Value>>,
    pub(super) dispatch_interval: Option<Option<i64>>,
    pub(super) next_dispatch: Option<Option<DateTime<Utc>>>,
    pub(super) deadline_seconds: Option<Option<i32>>,
}

/// All fields of a schedule: what must be there is, what has a default has it.
#[derive(Clone, Debug)]
pub struct WholeSchedule(pub ScheduleFields);

/// Some fields of a schedule.
#[derive(Clone, Debug)]
pub struct SomeOfSchedule(pub ScheduleFields);

impl FromFields for WholeSchedule {
    fn read(fields: &mut Fields) -> Option<Self> {
        for name in ["name", "task_name"] {
            if !fields.has(name) {
                fields.refuse::<()>(name, "This field is required.");
            }
        }
        let mut read = ScheduleFields::read(fields)?;
        read.task_args.get_or_insert_default();
        read.task_kwargs.get_or_insert_default();
        read.dispatch_interval.get_or_insert_default();
        read.deadline_seconds.get_or_insert_default();
        (read.name.is_some() && read.task_name.is_some()).then_some(Self(read))
    }
}

impl FromFields for SomeOfSchedule {
    fn read(fields: &mut Fields) -> Option<Self> {
        ScheduleFields::read(fields).map(Self)
    }
}

impl FromFields for ScheduleFields {
    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.optional::<Name>("name");
        let task_name = fields.optional::<Text>("task_name");
        let args = fields.optional::<Vec<Any>>("task_args");
        let kwargs = fields.optional::<Map<String, Value>>("task_kwargs");
        let interval = fields.nullable::<Interval>("dispatch_interval");
        let next = fields.nullable::<DateTime<Utc>>("next_dispatch");
        let deadline = fields.nullable::<Seconds>("deadline_seconds");
        Some(Self {
            name: name?.map(|name| name.0),
            task_name: task_name?.map(|name| name.0),
            task_args: args?.map(|args| args.into_iter().map(|any| any.0).collect()),
            task_kwargs: kwargs?,
            dispatch_interval: interval?.map(|given| given.map(|interval| interval.0)),
            next_dispatch: next?,
            deadline_seconds: deadline?.map(|given| given.map(|seconds| seconds.0)),
        })
    }
}

fn wrong<T>(message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong(json!([message.into()])))
}

/// A name that the unique index holds.
struct Name(String);

impl Field for Name {
    const EMPTY_IS_VALUE: bool = true;

    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let Text(name) = Text::from_json(value)?;
        if name.len() > NAME_BYTES {
            return wrong(format!(
                "Ensure this field has no more than {NAME_BYTES} bytes."
            ));
        }
        Ok(Self(name))
    }
}

/// Whole seconds, more than none.
struct Seconds(i32);

impl Field for Seconds {
    fn from_json(value: &Value) -> Result<Self, Wrong> {
        match i32::from_json(value)? {
            seconds if seconds < 1 => wrong("Ensure this value is greater than or equal to 1."),
            seconds => Ok(Self(seconds)),
        }
    }
}

/// A span of time in seconds, written as `[D ]HH:MM:SS`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Interval(pub i64);

impl Interval {
    fn parse(text: &str) -> Option<i64> {
        let (days, clock) = match text.split_once(' ') {
            Some((days, clock)) => (number(days, 5)?, clock),
            None => (0, text),
        };
        let mut parts = clock.split(':');
        let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let below = |text, bound| number(text, 2).filter(|n| *n < bound);
        let (minutes, seconds) = (below(minutes, 60)?, below(seconds, 60)?);
        Some(days * 86_400 + number(hours, 6)? * 3600 + minutes * 60 + seconds)
    }
}

fn number(text: &str, digits: usize) -> Option<i64> {
    let is_number = !text.is_empty() && text.len() <= digits;
    let is_number = is_number && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

impl Field for Interval {
    fn from_json(value: &Value) -> Result<Self, Wrong> {
        match value.as_str().and_then(Self::parse) {
            Some(0) => wrong("Ensure this value is greater than or equal to 00:00:01."),
            Some(seconds) if seconds > LONGEST => {
                wrong("Ensure this value is less than or equal to 36525 00:00:00.")
            }
            Some(seconds) => Ok(Self(seconds)),
            None => wrong("Duration has wrong format. Use this format instead: [D ]HH:MM:SS."),
        }
    }
}

/// An interval as clients see it.
#[must_use]
pub(super) fn interval_text(seconds: i64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        days => format!("{days} {clock}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;

    fn refusal<T: FromFields>(body: Value) -> String {
        let Value::Object(object) = body else {
            unreachable!()
        };
        let read = Fields::from_json(object).finish::<T>();
        read.map(|Body(_)| ()).unwrap_err().to_string()
    }

    #[test]
    fn an_interval_reads_back_as_it_was_written() {
        for (text, seconds) in [
            ("00:00:01", 1),
            ("01:02:03", 3723),
            ("1 00:00:00", 86_400),
            ("36525 00:00:00", LONGEST),
        ] {
            let Interval(read) = Interval::from_json(&json!(text)).unwrap();
            assert_eq!(read, seconds);
            assert_eq!(interval_text(read), text);
        }
        assert_eq!(Interval::parse("36:00:00"), Some(129_600));
        for bad in [
            json!("00:00:00"),
            json!("36526 00:00:00"),
            json!(""),
            json!("1"),
            json!("1:1"),
            json!("00:60:00"),
            json!("00:00:60"),
            json!("-1 00:00:00"),
            json!("1:1:1:1"),
            json!("x 00:00:01"),
            json!(60),
            json!([]),
        ] {
            assert!(Interval::from_json(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let error = refusal::<WholeSchedule>(json!({
            "task_args": {}, "task_kwargs": [], "dispatch_interval": "often", "next_dispatch": "soon",
            "deadline_seconds": 0, "last_task": null,
        }));
        for field in [
            "name",
            "task_name",
            "task_args",
            "task_kwargs",
            "dispatch_interval",
            "next_dispatch",
            "deadline_seconds",
            "last_task",
        ] {
            assert!(
                error.contains(&format!("\"{field}\":[")),
                "{field} in {error}"
            );
        }
        let error = refusal::<SomeOfSchedule>(json!({"name": null, "task_name": " "}));
        assert!(
            error.contains("\"name\":[") && error.contains("\"task_name\":["),
            "{error}"
        );
        let long = refusal::<SomeOfSchedule>(json!({"name": "n".repeat(2001)}));
        assert!(long.contains("\"name\":["), "{long}");
    }
}
