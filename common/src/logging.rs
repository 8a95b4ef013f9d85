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
    let discreet = Discreet {
        logger,
        talkative: settings.talkative.to_vec(),
    };
    if log::set_boxed_logger(Box::new(discreet)).is_ok() {
        log::set_max_level(level);
    }
}

/// Below `info`, libraries tell what passes through them: the parameters of statements, the login to the broker,
/// the headers of requests. Whatever the filter says, that is logged of this project's own modules only, and of those
/// that the settings name.
struct Discreet {
    logger: Logger,
    talkative: Vec<String>,
}

impl Discreet {
    fn may_tell(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Info || is_of(metadata.target(), "millrace") || {
            let target = metadata.target();
            self.talkative.iter().any(|module| is_of(target, module))
        }
    }
}

/// True for a module, for what is in it, and for crates whose name goes on with `_`.
fn is_of(target: &str, module: &str) -> bool {
    target
        .strip_prefix(module)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || rest.starts_with('_'))
}

impl Log for Discreet {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.may_tell(metadata) && self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.may_tell(record.metadata()) {
            self.logger.log(record);
        }
    }

    fn flush(&self) {
        self.logger.flush();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_info_only_our_own_modules_and_those_that_are_named_are_logged() {
        let discreet = Discreet {
            logger: Builder::new().filter_level(log::LevelFilter::Trace).build(),
            talkative: vec!["my_plugin".to_owned(), "lapin::channel".to_owned()],
        };
        let tells = |target: &str, level: Level| {
            discreet.enabled(&Metadata::builder().target(target).level(level).build())
        };
        for target in [
            "millrace_common::tasking",
            "my_plugin",
            "my_plugin::tasks",
            "my_plugin_types",
            "lapin::channel",
        ] {
            assert!(tells(target, Level::Debug), "{target}");
        }
        for target in [
            "tokio_postgres",
            "my_plugins",
            "lapin",
            "lapin::channels",
            "millraces",
        ] {
            assert!(!tells(target, Level::Debug), "{target}");
            assert!(tells(target, Level::Info), "{target}");
        }
    }
}
