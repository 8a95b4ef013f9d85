//! Listings: which query parameters a list takes, what they select, and the answer page by page.
//!
//! A list declares a [`Filters`] once; the same declaration parses requests and writes the parameters of
//! the OpenAPI document.

mod expression;
mod fields;
mod filters;
mod labels;
pub mod page;
mod parse;
mod sets;

pub use fields::Wanted;
pub use filters::{Defaults, Filter, Filters, Kind, Types};
pub use labels::label_select;
pub use page::{Listing, Paging, pairs};
pub use sets::{pattern, truth};
