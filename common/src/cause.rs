//! An error with its causes, for people.

use std::error::Error;

/// The text of an error and of all that lies behind it, each said once.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        // Some errors put their cause into their own text as well.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn every_cause_is_told_once() {
        let refused = Layer("connection refused", None);
        let doubled = Layer("no session: connection refused", Some(Box::new(refused)));
        let error = Layer("database is not available", Some(Box::new(doubled)));
        assert_eq!(
            chain(&error),
            "database is not available: no session: connection refused"
        );
    }
}
