//! What the API and the workers share: models, the tasking engine, the broker, storage, settings.
//!
//! Imports go one way: `catalog` → `tasks`, `content` → `repository`, `uploads`, `models`, `storage`,
//! `tasking` → `broker`, `db` → `ids`, `error`, `config`. The engine (`tasking`) knows no task, and
//! nothing here knows REST. A plug-in author imports from [`tasking`].

mod below;
pub mod broker;
pub mod catalog;
pub mod cause;
pub mod config;
pub mod content;
pub mod crash;
pub mod db;
pub mod download;
pub mod error;
pub mod fsck;
pub mod gathering;
mod hashing;
pub mod href;
pub mod ids;
pub mod logging;
pub mod metrics;
pub mod models;
pub mod prn;
pub mod probe;
pub mod repository;
pub mod representation;
pub mod roles;
pub mod schema;
pub mod secrets;
pub mod storage;
pub mod tasking;
pub mod tasks;
mod temporary;
pub mod tls;
pub mod units;
pub mod uploads;

/// The version of Millrace itself.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The core version that clients are told (contract 4.2, client needs 4): below 3.82 the scripts
/// of the command line client ask for task profiles, from 3.86 on for task results.
pub const ADVERTISED_CORE_VERSION: &str = "3.86.0";
