//! Rules over several tables.
