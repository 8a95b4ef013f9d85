//! Connections that our programs make.

use super::{TlsError, certificates, provider, read, unfit};
use crate::config::Authorities;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

/// What the certificate of a server must be.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Anything: who listens is taken for whom he says, and whoever is between may read along.
    Anybody,
    /// Signed by one of these, whatever its name.
    SignedBy(RootCertStore),
    /// Signed by one of these, and for the name or address that was asked for.
    Named(RootCertStore),
}

/// The certificates of these authorities, read now.
///
/// # Errors
/// [`TlsError`], with the file where it is one.
pub async fn certificates_of(authorities: &Authorities) -> Result<RootCertStore, TlsError> {
    match authorities {
        Authorities::System => of_system().await,
        Authorities::File(file) => of_file(file).await,
    }
}

/// Those that a file of PEM holds, all of which must be fit.
async fn of_file(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file, &read(file).await?)? {
        let added = roots.add(certificate);
        added.map_err(|error| unfit(file, format!("holds no authority: {error}")))?;
    }
    Ok(roots)
}

/// Those that the system trusts.
async fn of_system() -> Result<RootCertStore, TlsError> {
    let loading = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
    let loaded = loading.await;
    let loaded = loaded.map_err(|error| TlsError::System(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        let why = loaded.errors.first().map(ToString::to_string);
        let why = why.unwrap_or_else(|| "there are none".to_owned());
        return Err(TlsError::System(why));
    }
    Ok(roots)
}

/// How a client connects.
///
/// # Errors
/// What the library refuses.
pub fn config(trust: Trust) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let lenient = |roots| {
        let verifier = Arc::new(Lenient { provider, roots });
        let builder = builder.clone().dangerous();
        builder
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth()
    };
    Ok(match trust {
        Trust::Anybody => lenient(None),
        Trust::SignedBy(roots) => lenient(Some(roots)),
        Trust::Named(roots) => builder.with_root_certificates(roots).with_no_client_auth(),
    })
}

/// Looks at less than it should: not at the name, and without roots not at who signed it. That the server has the
/// certificate's key is looked at always.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    roots: Option<RootCertStore>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(certificate)?,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
