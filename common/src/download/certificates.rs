//! Certificates as a remote holds them: PEM, maybe between lines of comment.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// The certificates of a text, without what stands between them.
///
/// # Errors
/// What is wrong, for the client: there is none, or one that cannot be read. `name` is the field.
pub fn clean(name: &str, text: &str) -> Result<String, String> {
    let blocks = blocks(text);
    if blocks.is_empty() {
        return Err(format!("No {name} specified in string '{text}'"));
    }
    let invalid = |why: String| format!("Invalid {name} specified, error '{why}'");
    for block in &blocks {
        let der =
            CertificateDer::from_pem_slice(block.as_bytes()).map_err(|e| invalid(e.to_string()))?;
        x509_parser::parse_x509_certificate(&der).map_err(|e| invalid(e.to_string()))?;
    }
    Ok(blocks.concat())
}

/// The certificate blocks of a text, each with its two lines of dashes and a line end.
fn blocks(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with("-----BEGIN ") && line.ends_with("CERTIFICATE-----") {
            open = Some(String::new());
        }
        let Some(block) = open.as_mut() else {
            continue;
        };
        block.push_str(line);
        block.push('\n');
        if line.starts_with("-----END ") {
            found.extend(open.take());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_a_certificate_is_refused_by_the_name_of_its_field() {
        let error = clean("ca_cert", "a-string").unwrap_err();
        assert_eq!(error, "No ca_cert specified in string 'a-string'");
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let error = clean("client_cert", text).unwrap_err();
        assert!(
            error.starts_with("Invalid client_cert specified, error '"),
            "{error}"
        );
    }
}
