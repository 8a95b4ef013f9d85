//! A plain client of the broker, for tests that meddle with messages.
