//! An error with its causes, for people.

use std::error::Error;

/// The text of an error and of all that lies behind it, each said once.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let mut text = error.to_string();
        next = error.source();
        // Some errors put their cause into their own text as well.
        if let Some(own) = next.and_then(|cause| text.strip_suffix(&format!(": {cause}"))) {
            text = own.to_owned();
        }
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join(": ")
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
        let inner = Layer("database is not available", Some(Box::new(refused)));
        let pool = Layer(
            "no session: database is not available",
            Some(Box::new(inner)),
        );
        let error = Layer("database is not available", Some(Box::new(pool)));
        assert_eq!(
            chain(&error),
            "database is not available: no session: connection refused"
        );
    }
}
