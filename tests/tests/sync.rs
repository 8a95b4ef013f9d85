//! Filling repositories from remotes (contract 3.7).

mod content;
mod faults;
mod file_url;
mod large;
mod mirror;
mod repair;
pub mod shop;
mod skipping;
mod small;
