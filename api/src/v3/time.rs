//! Times as clients see them: UTC, microseconds, `Z` (contract 0).

use chrono::{DateTime, Utc};
use millrace_common::representation::moment;
use serde::Serializer;

/// For `#[serde(serialize_with = "time::micros")]`.
///
/// # Errors
/// As the serializer.
pub fn micros<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&moment(*time))
}

/// As [`micros`], for a time that may be missing.
///
/// # Errors
/// As the serializer.
pub fn maybe_micros<S: Serializer>(
    time: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => micros(time, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_always_has_six_digits() {
        let time = DateTime::from_timestamp(1_767_323_045, 0).unwrap();
        assert_eq!(moment(time), "2026-01-02T03:04:05.000000Z");
    }
}
