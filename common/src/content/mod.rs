//! Content types.

/// The content types that a process knows.
#[derive(Default)]
pub struct ContentTypes {}

/// Registers the built-in content types.
pub fn register_all(_types: &mut ContentTypes) {}
