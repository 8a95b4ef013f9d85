//! What a server of ours shows: a certificate and its key, from two files that may change under it.

use super::{TlsError, certificates, provider, read, unfit};
use chrono::{DateTime, Utc};
use log::{info, warn};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use x509_parser::parse_x509_certificate;

/// Between two looks at the files.
const LOOK: Duration = Duration::from_secs(5);

/// A certificate with its chain, and its key. Cheap to clone; clones show the same.
#[derive(Clone, Debug)]
pub struct Identity {
    certificate_file: PathBuf,
    key_file: PathBuf,
    shown: Arc<Shown>,
    /// What the files held when they were read the last time.
    read: Files,
}

#[derive(Clone, PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Only ever replaced as a whole.
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&shown))
    }
}

impl Identity {
    /// Reads both files.
    ///
    /// # Errors
    /// [`TlsError`] with the file that cannot be read, is no PEM, or does not belong to the other one.
    pub async fn load(certificate_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let read = Files::read(certificate_file, key_file).await?;
        let key = read.certified(certificate_file, key_file)?;
        Ok(Self {
            certificate_file: certificate_file.to_owned(),
            key_file: key_file.to_owned(),
            shown: Arc::new(Shown(RwLock::new(Arc::new(key)))),
            read,
        })
    }

    /// How a server listens that shows it; what is shown follows [`Identity::keep`].
    ///
    /// # Errors
    /// What the library refuses.
    pub fn config(&self) -> Result<ServerConfig, TlsError> {
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&self.shown) as _;
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        Ok(config)
    }

    /// When the certificate ends; `None` where that cannot be read.
    #[must_use]
    pub fn not_after(&self) -> Option<DateTime<Utc>> {
        let shown = self.shown.0.read().unwrap_or_else(PoisonError::into_inner);
        let (_, certificate) = parse_x509_certificate(shown.cert.first()?).ok()?;
        DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)
    }

    /// Looks at the files every few seconds, without an end: new connections are shown what they hold now. Where they do
    /// not fit, which they may not between two writes, what was shown stays, and the log says so once.
    pub async fn keep(mut self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut said = String::new();
        loop {
            ticks.tick().await;
            match self.renew().await {
                Ok(false) => {}
                Ok(true) => {
                    said.clear();
                    let until = self.not_after().map(|end| end.to_rfc3339());
                    let until = until.unwrap_or_default();
                    info!(not_after = until.as_str(); "the certificate has been replaced");
                }
                Err(error) => {
                    let text = error.to_string();
                    if text != said {
                        warn!("the certificate stays as it was: {text}");
                        said = text;
                    }
                }
            }
        }
    }

    /// True where something else is shown from now on.
    async fn renew(&mut self) -> Result<bool, TlsError> {
        let now = Files::read(&self.certificate_file, &self.key_file).await?;
        if now == self.read {
            return Ok(false);
        }
        let key = now.certified(&self.certificate_file, &self.key_file)?;
        let mut shown = self.shown.0.write().unwrap_or_else(PoisonError::into_inner);
        *shown = Arc::new(key);
        drop(shown);
        self.read = now;
        Ok(true)
    }
}

impl Files {
    async fn read(certificate_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read(certificate_file).await?,
            key: read(key_file).await?,
        })
    }

    fn certified(
        &self,
        certificate_file: &Path,
        key_file: &Path,
    ) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(certificate_file, &self.certificate)?;
        // Said without a cause: that might show what the file holds.
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key = key.map_err(|_error| unfit(key_file, "holds no private key as PEM"))?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|error| {
            let certificate = certificate_file.display();
            unfit(
                key_file,
                format!("is not the key of {certificate}: {error}"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey as Made, generate_simple_self_signed};

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
    }

    fn made() -> (String, String) {
        let Made { cert, signing_key } =
            generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    #[tokio::test]
    async fn what_is_unfit_is_refused_by_its_file_and_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("certificate"), dir.path().join("key"));
        let (good, good_key) = made();
        let (_, other_key) = made();
        write(&certificate, &good);
        let missing = Identity::load(&certificate, &key).await.unwrap_err();
        assert!(
            missing.to_string().contains("key: No such file"),
            "{missing}"
        );
        for (certificate_text, key_text, said) in [
            (good.as_str(), "", "key: holds no private key as PEM"),
            (&good, &good, "key: holds no private key as PEM"),
            (&good, &other_key, "key: is not the key of"),
            ("", &good_key, "certificate: holds no certificate"),
            (&good_key, &good_key, "certificate: holds no certificate"),
        ] {
            write(&certificate, certificate_text);
            write(&key, key_text);
            let error = Identity::load(&certificate, &key).await.unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            let inner = other_key.lines().nth(1).unwrap();
            assert!(!format!("{error} {error:?}").contains(inner), "{error:?}");
        }
        write(&certificate, &good);
        write(&key, &good_key);
        let identity = Identity::load(&certificate, &key).await.unwrap();
        assert!(identity.not_after().unwrap() > Utc::now());
    }

    #[tokio::test]
    async fn what_is_shown_changes_with_both_files_and_not_between() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("certificate"), dir.path().join("key"));
        let (first, first_key) = made();
        write(&certificate, &first);
        write(&key, &first_key);
        let mut identity = Identity::load(&certificate, &key).await.unwrap();
        let shown = |identity: &Identity| Arc::clone(&identity.shown.0.read().unwrap());
        let before = shown(&identity);
        assert!(!identity.renew().await.unwrap());
        let (second, second_key) = made();
        write(&certificate, &second);
        identity.renew().await.unwrap_err();
        assert_eq!(shown(&identity).cert, before.cert);
        write(&key, &second_key);
        assert!(identity.renew().await.unwrap());
        assert_ne!(shown(&identity).cert, before.cert);
    }
}
