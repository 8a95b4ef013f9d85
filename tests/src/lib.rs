//! What the black-box tests stand on: servers, databases and virtual hosts of their own, the real
//! binaries as child processes, and checkers of recorded histories.
//!
//! Everything here panics where something is not as expected: that is how a test fails.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "support of tests: a broken assumption is the failure of the test that made it"
)]

pub mod amqp;
pub mod app;
pub mod client;
pub mod dispatcher;
pub mod eventually;
pub mod history;
pub mod lanes;
pub mod memory;
pub mod model;
pub mod packages;
pub mod paper;
pub mod process;
pub mod proxy;
pub mod sql;
pub mod stack;
pub mod test_db;
pub mod upstream;
pub mod vhost;

pub use app::TestApp;
pub use dispatcher::Dispatcher;
pub use eventually::eventually;
pub use sql::Sql;
pub use test_db::TestDb;
pub use vhost::Vhost;
