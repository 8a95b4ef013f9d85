//! The built-in tasks: one file each, and one line here.

use crate::tasking::Registry;

/// Registers the built-in tasks; with `diagnostics`, the test tasks too.
pub fn register_all(_registry: &mut Registry, _diagnostics: bool) {}
