//! Filling repositories from remotes (contract 3.7).

mod content;
mod faults;
mod large;
mod mirror;
mod shop;
mod skipping;
