//! Why settings are refused.

use ::config::ConfigError;

/// Why the settings cannot be used; the text names the key.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file or variable that cannot be read, or a key that is not known.
    #[error("settings: {0}")]
    Unreadable(String),
    /// A value that makes no sense.
    #[error("settings: {key}: {message}")]
    Invalid {
        /// The key, as in `default.toml`.
        key: &'static str,
        /// What is wrong.
        message: String,
    },
}

impl From<ConfigError> for SettingsError {
    fn from(error: ConfigError) -> Self {
        Self::Unreadable(without_values(&error))
    }
}

/// The text of an error, without what was found: that may be, or be beside, a password.
fn without_values(error: &ConfigError) -> String {
    let place = |text: String, key: &Option<String>, origin: &Option<String>| {
        let key = key.iter().map(|key| format!(" for key `{key}`"));
        let origin = origin.iter().map(|origin| format!(" in {origin}"));
        text + &key.chain(origin).collect::<String>()
    };
    match error {
        ConfigError::FileParse { uri, cause } => {
            // Line and column; the lines after it show the file's own.
            let text = cause.to_string();
            place(text.lines().take(1).collect(), &None, uri)
        }
        ConfigError::Type {
            expected,
            key,
            origin,
            ..
        } => place(format!("invalid value, expected {expected}"), key, origin),
        ConfigError::At { error, key, origin } => place(without_values(error), key, origin),
        other => {
            let text = other.to_string();
            match text.rsplit_once(", expected ") {
                Some((found, expected)) if found.starts_with("invalid ") => {
                    format!("invalid value, expected {expected}")
                }
                _ => text,
            }
        }
    }
}
