//! `millrace-api migrate`

use super::{Failure, admin};
use log::info;
use millrace_common::config::Settings;
use millrace_common::db;

/// Applies what is pending; then the built-in roles are there, and somebody can log in.
#[expect(clippy::print_stdout, reason = "this is the command line")]
pub async fn migrate(settings: &Settings) -> Result<(), Failure> {
    let done = db::migrate(&settings.database).await?;
    for name in &done {
        info!("applied migration {name}");
        println!("applied {name}");
    }
    if done.is_empty() {
        println!("nothing to apply");
    }
    admin::build_in_roles(settings).await?;
    admin::ensure(settings).await
}
