//! The OpenAPI document, made from the URL table: what the command line client reads (contract 4.18).

mod document;
mod html;
mod parameters;
mod schema;
#[cfg(test)]
mod tests;

pub use document::{Query, document};
pub use html::page;
pub use parameters::{Parameter, list_parameters, minimal_parameter, read_parameters};
pub use schema::{MakeSchema, SchemaDoc};
