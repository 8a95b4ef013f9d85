//! The lanes, straight on the engine's SQL functions: against a model, and many sessions at once.

mod cancel;
mod claiming;
mod dispatching;
mod history;
mod model;
mod pairs;
mod together;
