//! TLS: whom a client of ours trusts ([`client`]), and what our servers show ([`server`]). Versions 1.2 and 1.3.
//!
//! Files are read anew for each connection that a client makes, so that an authority may be replaced under a running
//! program. Nothing here logs or shows what a key file holds.

pub mod client;
pub mod server;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why certificates cannot be used; the text names the file.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file that holds something else.
    #[error("{}: {why}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The authorities of the system cannot be had.
    #[error("the system's certificates of authorities cannot be used: {0}")]
    System(String),
    /// What the library refuses.
    #[error(transparent)]
    Library(#[from] rustls::Error),
}

/// The algorithms, chosen here rather than by what else is compiled in.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

async fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    tokio::fs::read(path)
        .await
        .map_err(|source| TlsError::File {
            path: path.to_owned(),
            source,
        })
}

fn unfit(path: &Path, why: impl Into<String>) -> TlsError {
    TlsError::Unfit {
        path: path.to_owned(),
        why: why.into(),
    }
}

/// The certificates of a file, in its order; at least one.
fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = found.map_err(|error| unfit(path, format!("is no PEM: {error}")))?;
    if found.is_empty() {
        return Err(unfit(path, "holds no certificate"));
    }
    Ok(found)
}
