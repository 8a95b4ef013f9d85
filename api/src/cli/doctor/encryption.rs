//! Whether connections can be read or redirected on their way. What does not leave the machine needs no encryption.

use super::report::Report;
use chrono::Utc;
use millrace_common::config::{Encryption, Settings};
use millrace_common::db::Conn;
use millrace_common::models::server;
use millrace_common::tls::server::Identity;
use std::net::IpAddr;
use url::{Host, Url};

/// Time for somebody to renew a certificate.
const SOON_DAYS: i64 = 14;

/// The session with the database.
pub(super) async fn database(settings: &Settings, conn: &mut Conn, report: &mut Report) {
    const NAME: &str = "database.encryption";
    let url = settings.database.url.expose();
    let encryption = Encryption::take_from(url).map_or(Encryption::Prefer, |(_, found)| found);
    let verified = matches!(encryption, Encryption::VerifyFull(_));
    match server::encryption(conn).await {
        Ok(Some(version)) if verified => {
            report.ok(NAME, format!("{version}, the server is verified"))
        }
        Ok(Some(version)) if stays_here(url) => report.ok(NAME, version),
        Ok(Some(version)) => report.warn(
            NAME,
            format!("{version}, but anybody may pass for the server"),
            "Set sslmode=verify-full and sslrootcert in database.url.",
        ),
        Ok(None) if stays_here(url) => report.ok(NAME, "none; it does not leave this machine"),
        Ok(None) => report.warn(
            NAME,
            "none: passwords and content pass in the clear",
            "Set ssl = on in PostgreSQL, and sslmode=verify-full and sslrootcert in database.url.",
        ),
        Err(error) => report.fail(
            NAME,
            error,
            "Let the role of database.url read pg_stat_ssl.",
        ),
    }
}

/// The connections with the broker, and with its management API.
pub(super) fn broker(settings: &Settings, report: &mut Report) {
    const NAME: &str = "broker.encryption";
    let broker = &settings.broker;
    let plain = |url: &str| {
        let scheme = url.split(':').next().unwrap_or_default();
        ["amqp", "http"].contains(&scheme) && !stays_here(url)
    };
    let settings = [
        ("broker.url", broker.url.expose()),
        ("broker.management_url", broker.management_url.expose()),
    ];
    let plain: Vec<&str> = settings
        .into_iter()
        .filter(|(_, url)| plain(url))
        .map(|(key, _)| key)
        .collect();
    if plain.is_empty() {
        let seen = if broker.url.expose().starts_with("amqps") {
            "TLS, the server is verified"
        } else {
            "none; it does not leave this machine"
        };
        report.ok(NAME, seen);
    } else {
        report.warn(
            NAME,
            format!("none ({}): passwords pass in the clear", plain.join(", ")),
            "Let RabbitMQ listen with TLS, and use amqps:// and https:// in these settings, with broker.ca_file.",
        );
    }
}

/// What clients of the API are shown.
pub(super) async fn api(settings: &Settings, report: &mut Report) {
    const NAME: &str = "api.encryption";
    let api = &settings.api;
    if !api.is_https() {
        return report.ok(
            NAME,
            "none here (api.certificate_file): a proxy in front may do it",
        );
    }
    let identity = match Identity::load(&api.certificate_file, &api.key_file).await {
        Ok(identity) => identity,
        Err(error) => {
            let mend =
                "Let api.certificate_file and api.key_file name a certificate and its key, as PEM.";
            return report.fail(NAME, error, mend);
        }
    };
    let Some(end) = identity.not_after() else {
        return report.ok(NAME, "TLS");
    };
    let days = (end - Utc::now()).num_days();
    let seen = format!("TLS, the certificate ends {}", end.format("%Y-%m-%d"));
    let mend = "Renew the certificate: the files are read again while the program runs.";
    if end < Utc::now() {
        report.fail(NAME, seen, mend);
    } else if days < SOON_DAYS {
        report.warn(NAME, seen, mend);
    } else {
        report.ok(NAME, seen);
    }
}

/// True where an address leads to this machine.
fn stays_here(url: &str) -> bool {
    if url.is_empty() {
        return true;
    }
    // Hosts of PostgreSQL may stand behind the path as well; a socket is a file.
    if url.contains("host=") || url.contains("hostaddr=") {
        return url.contains("host=/") || url.contains("host=%2");
    }
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    match url.host() {
        None => true,
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        // Where the scheme is none of the web, addresses are names to the library.
        Some(Host::Domain(name)) => {
            name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_on_this_machine_needs_no_encryption() {
        for here in [
            "postgres://u:p@127.0.0.1:1/d",
            "amqp://localhost/%2f",
            "http://[::1]:15672",
            "postgres:///d?host=/run/postgresql",
            "postgres://%2Frun%2Fpostgresql/d?host=%2Frun",
            "",
        ] {
            assert!(stays_here(here), "{here}");
        }
        for away in [
            "postgres://u:p@db.example/d",
            "amqp://10.0.0.1/%2f",
            "http://localhost.example",
            "hush",
        ] {
            assert!(!stays_here(away), "{away}");
        }
    }
}
