//! Log lines by `env_logger`: text with key-values, or one JSON object a line.

use crate::config::{Log as Settings, LogFormat};
use env_logger::{Builder, Env, Logger};
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, Log, Metadata, Record};
use std::io::Write;

/// Starts logging. `RUST_LOG` wins over the setting; calling it twice is harmless.
pub fn init(settings: &Settings) {
    let mut builder = Builder::from_env(Env::default().default_filter_or(settings.filter.as_str()));
    if settings.format == LogFormat::Json {
        builder.format(|out, record| {
            let mut line = serde_json::Map::new();
            line.insert("ts".into(), chrono::Utc::now().to_rfc3339().into());
            line.insert("level".into(), record.level().as_str().into());
            line.insert("target".into(), record.target().into());
            line.insert("message".into(), record.args().to_string().into());
            // A value that cannot be visited costs its key, not the line.
            let _ = record.key_values().visit(&mut Fields(&mut line));
            writeln!(out, "{}", serde_json::Value::Object(line))
        });
    } else {
        builder.format_timestamp_millis();
    }
    let logger = builder.build();
    let level = logger.filter();
    if log::set_boxed_logger(Box::new(Discreet(logger))).is_ok() {
        log::set_max_level(level);
    }
}

/// Below `info`, libraries tell what passes through them: the parameters of statements, the login to the broker,
/// the headers of requests. Whatever the filter says, that is logged of this project's own modules only.
struct Discreet(Logger);

impl Discreet {
    fn may_tell(metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info || metadata.target().starts_with("millrace")
    }
}

impl Log for Discreet {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        Self::may_tell(metadata) && self.0.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if Self::may_tell(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

struct Fields<'a>(&'a mut serde_json::Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let value = serde_json::to_value(&value).unwrap_or_else(|_| value.to_string().into());
        self.0.insert(key.to_string(), value);
        Ok(())
    }
}
