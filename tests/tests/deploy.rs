//! What deploys Millrace fits its programs. No image is built and no cluster is asked here: that part is
//! in docs/OPERATIONS.md, marked as untested.

mod broker;
mod compose;
mod documents;
mod kubernetes;
mod manifests;
mod overlays;
mod running;
