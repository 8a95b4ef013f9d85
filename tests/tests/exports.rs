//! Exports to file systems (contract 3.4, 4.14).

mod deaths;
mod disks;
mod exporters;
mod files;
mod paths;
mod places;
pub mod shop;
mod sources;
