//! Rows and every query on them: one file a table.

pub mod announcement;
