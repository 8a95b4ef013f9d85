//! Log lines by `env_logger`: text with key-values, or one JSON object a line.

use crate::config::{Log, LogFormat};
use env_logger::{Builder, Env};
use log::kv::{Error, Key, Value, VisitSource};
use std::io::Write;

/// Starts logging. `RUST_LOG` wins over the setting; calling it twice is harmless.
pub fn init(settings: &Log) {
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
    let _ = builder.try_init();
}

struct Fields<'a>(&'a mut serde_json::Map<String, serde_json::Value>);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let value = serde_json::to_value(&value).unwrap_or_else(|_| value.to_string().into());
        self.0.insert(key.to_string(), value);
        Ok(())
    }
}
