//! A PostgreSQL and a RabbitMQ that speak TLS, and programs that reach them by nothing else.

use millrace_tests::app::free_port;
use millrace_tests::client::sleep;
use millrace_tests::eventually::holds;
use millrace_tests::stack::Instance;
use millrace_tests::upstream::Authority;
use millrace_tests::{TestApp, TestDb, Vhost, eventually};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use url::Url;

/// Certificates in files that the servers' users can read.
struct Paper {
    dir: tempfile::TempDir,
    authority: Authority,
}

impl Paper {
    fn new() -> Self {
        let paper = Self {
            dir: tempfile::tempdir().unwrap(),
            authority: Authority::new(),
        };
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(paper.dir.path(), open).unwrap();
        let (certificate, key) = paper.authority.server("127.0.0.1");
        paper.write("ca.pem", &paper.authority.certificate());
        paper.write("server.pem", &certificate);
        paper.write("server.key", &key);
        paper.write("other-ca.pem", &Authority::new().certificate());
        // PostgreSQL demands that nobody else can read it; started by root it runs as its own user.
        let key = paper.write("postgresql.key", &key);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        if let Some(group) = group_of("postgres") {
            chown(&key, None, Some(group)).unwrap();
        }
        paper
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

/// The group that root gives a server's files to; `None`: the server runs as who tests.
fn group_of(user: &str) -> Option<u32> {
    let number = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().unwrap();
        String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .ok()
    };
    (number(&["-u"]) == Some(0))
        .then(|| number(&["-g", user]))
        .flatten()
}

fn postgresql(paper: &Paper) -> Instance {
    Instance::postgresql(&[
        "ssl = on",
        &format!("ssl_cert_file = '{}'", paper.text("server.pem")),
        &format!("ssl_key_file = '{}'", paper.text("postgresql.key")),
        "shared_buffers = 32MB",
    ])
}

/// Starts it; gives the ports of AMQP and of the management UI with TLS.
fn rabbitmq(paper: &Paper) -> (Instance, u16, u16) {
    let (amqps, https) = (free_port(), free_port());
    let files = |section: &str, certificate: &str, key: &str, ca: &str| {
        [
            format!("{section}.{ca} = {}", paper.text("ca.pem")),
            format!("{section}.{certificate} = {}", paper.text("server.pem")),
            format!("{section}.{key} = {}", paper.text("server.key")),
        ]
    };
    let mut lines = vec![
        format!("listeners.ssl.1 = 127.0.0.1:{amqps}"),
        "management.ssl.ip = 127.0.0.1".to_owned(),
        format!("management.ssl.port = {https}"),
    ];
    for section in ["ssl_options", "management.ssl"] {
        lines.extend(files(section, "certfile", "keyfile", "cacertfile"));
    }
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    (Instance::rabbitmq(&lines), amqps, https)
}

fn with(url: &str, change: impl FnOnce(&mut Url)) -> String {
    let mut url = Url::parse(url).unwrap();
    change(&mut url);
    url.into()
}

fn sslmode(url: &str, mode: &str, root: &Path) -> String {
    with(url, |url| {
        url.query_pairs_mut()
            .append_pair("sslmode", mode)
            .append_pair("sslrootcert", root.to_str().unwrap());
    })
}

#[tokio::test]
async fn a_task_runs_where_every_connection_is_encrypted_and_verified() {
    let paper = Paper::new();
    let (postgres, (rabbit, amqps, https)) = std::thread::scope(|scope| {
        let postgres = scope.spawn(|| postgresql(&paper));
        let rabbit = scope.spawn(|| rabbitmq(&paper));
        (postgres.join().unwrap(), rabbit.join().unwrap())
    });
    let db = TestDb::create_on(postgres.database_url()).await;
    let vhost = Vhost::create_on(&rabbit.broker_url(), &rabbit.management_url()).await;
    let database = sslmode(&db.url(), "verify-full", &paper.path("ca.pem"));
    let broker = vhost.url().replacen("amqp:", "amqps:", 1);
    let broker = with(&broker, |url| url.set_port(Some(amqps)).unwrap());
    let management = rabbit.management_url().replacen("http:", "https:", 1);
    let management = with(&management, |url| url.set_port(Some(https)).unwrap());
    let plain = db.url();
    let mut app = TestApp::builder()
        .db(db)
        .vhost(vhost)
        .database_url(database.clone())
        .broker_url(broker)
        .set("broker.ca_file", paper.text("ca.pem"))
        .set("broker.management_url", &management)
        .https(Authority::new())
        .workers(1)
        .start()
        .await;
    let task = app.dispatch(&sleep(0.0, &["a"])).await;
    app.completed(&task).await;

    // Pool, slots, beats, listeners, and what looks at migrations.
    let sessions = app
        .sql
        .texts(
            "SELECT coalesce(s.version, 'plain') || ' ' || a.application_name \
               FROM pg_stat_activity a LEFT JOIN pg_stat_ssl s ON s.pid = a.pid AND s.ssl \
              WHERE a.application_name LIKE 'millrace%'",
        )
        .await;
    assert!(sessions.len() > 6, "{sessions:?}");
    assert!(
        sessions.iter().all(|s| s.starts_with("TLSv1.3 ")),
        "{sessions:?}"
    );
    // The management API knows of a connection after some seconds.
    eventually(Duration::from_secs(30), async || {
        let clients = app.vhost.tls_of_connections().await;
        assert!(clients.iter().all(|tls| *tls), "{clients:?}");
        holds(clients.len() >= 2, || format!("{clients:?}"))
    })
    .await;

    let (code, text) = app.end_command(&["doctor"], &[]).await;
    assert_eq!(code, 0, "{text}");
    let words: Vec<&str> = text.split_whitespace().collect();
    let words = words.join(" ");
    for line in [
        "ok database.encryption TLSv1.3, the server is verified",
        "ok broker.encryption TLS, the server is verified",
        "ok api.encryption TLS, the certificate ends",
        "ok broker.management reachable, RabbitMQ",
        "ok broker.version RabbitMQ",
    ] {
        assert!(words.contains(line), "{line}: {text}");
    }
    refused(&app, &paper, &plain).await;
    modes(&app, &paper, &plain).await;

    // A worker with another authority in its settings takes nothing, and says why.
    app.workers.clear();
    let other = paper.text("other-ca.pem");
    app.spawn_worker(&[("broker.ca_file", other.as_str())]);
    eventually(Duration::from_secs(30), async || {
        let log = app.workers[0].log();
        holds(log.contains("invalid peer certificate"), || log)
    })
    .await;
    app.workers.clear();
    app.spawn_worker(&[]);
    let task = app.dispatch(&sleep(0.0, &["a"])).await;
    app.completed(&task).await;
    app.finish().await;
}

/// With the wrong authority each connection is refused by its name.
async fn refused(app: &TestApp, paper: &Paper, plain: &str) {
    let other = paper.path("other-ca.pem");
    let database = sslmode(plain, "verify-full", &other);
    let other = other.to_str().unwrap();
    for (key, value, check) in [
        (
            "database.url",
            database.as_str(),
            "FAIL  database.connection",
        ),
        ("broker.ca_file", other, "FAIL  broker.connection"),
        ("broker.ca_file", other, "FAIL  broker.management"),
    ] {
        let (code, text) = app.end_command(&["doctor"], &[(key, value)]).await;
        assert_eq!(code, 1, "{text}");
        let line = text.lines().find(|line| line.starts_with(check));
        let line = line.unwrap_or_else(|| panic!("{check}: {text}"));
        assert!(line.contains("invalid peer certificate"), "{line}");
    }
    let (code, text) = app
        .end_command(&["migrate"], &[("database.url", &database)])
        .await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("invalid peer certificate"), "{text}");
}

/// What each mode asks for, and no more.
async fn modes(app: &TestApp, paper: &Paper, plain: &str) {
    let named = |host: &str| with(plain, |url| url.set_host(Some(host)).unwrap());
    let ca = paper.path("ca.pem");
    let other = paper.path("other-ca.pem");
    for (url, seen) in [
        (
            format!("{plain}?sslmode=disable"),
            "none; it does not leave",
        ),
        (plain.to_owned(), "TLSv1.3"),
        (format!("{plain}?sslmode=require"), "TLSv1.3"),
        // The certificate is for the address, not for this name.
        (sslmode(&named("localhost"), "verify-ca", &ca), "TLSv1.3"),
        (
            sslmode(&named("localhost"), "verify-full", &ca),
            "not valid for name",
        ),
        (
            sslmode(plain, "verify-ca", &other),
            "invalid peer certificate",
        ),
        (
            sslmode(plain, "require", &other),
            "invalid peer certificate",
        ),
        (
            sslmode(plain, "verify-full", Path::new("/no/ca")),
            "/no/ca: No such file",
        ),
    ] {
        let (_, text) = app
            .end_command(&["doctor"], &[("database.url", &url)])
            .await;
        let of_database = |line: &&str| {
            line.contains(" database.encryption") || line.contains(" database.connection")
        };
        let lines: Vec<_> = text.lines().filter(of_database).collect();
        assert!(lines.join("\n").contains(seen), "{url}: {seen}: {text}");
    }
}
