//! Rows and every query on them: one file a table.
