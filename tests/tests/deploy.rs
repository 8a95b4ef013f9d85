//! What deploys Millrace fits its programs. No image is built here.

mod broker;
mod compose;
mod manifests;
