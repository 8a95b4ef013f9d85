//! The artifact store.

/// The artifact store of a process; cheap to clone.
#[derive(Clone, Debug)]
pub struct Storage {}
