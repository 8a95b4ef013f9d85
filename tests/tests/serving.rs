//! The content server (contract 1.10, 4.19): what is served, how it is asked for, and that a change is
//! seen by every process at once.

mod away;
mod directories;
mod files;
mod paths;
pub mod shop;
mod visible;
