//! The content server beside nginx with sendfile: the same files, the same client, one after the other.

use anyhow::{Context, ensure};
use millrace_tests::TestApp;
use millrace_tests::app::{files_below, free_port};
use millrace_tests::paper::Paper;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SMALL: u64 = 4 << 10;
const LARGE: u64 = 1 << 30;
const SECONDS: u64 = 10;

/// Rates of files of two sizes. Leaves the files in the store.
pub async fn serve(app: &TestApp, paper: &Paper) -> anyhow::Result<()> {
    for size in [SMALL, LARGE] {
        app.upload(vec![0x5a; usize::try_from(size)?]).await;
    }
    app.sql.run(include_str!("sql/serve.sql")).await;
    let root = app.dir().join("nginx");
    std::fs::create_dir_all(root.join("bench"))?;
    for file in files_below(&app.media()) {
        let size = file.metadata()?.len();
        if [SMALL, LARGE].contains(&size) {
            std::fs::hard_link(&file, root.join("bench").join(size.to_string()))?;
        }
    }
    let nginx = Nginx::start(&root).await?;
    paper.heading("Serving files, beside nginx with sendfile (wrk as the client)");
    for (what, size, connections, unit) in [
        ("4 KiB, 64 clients", SMALL, 64, "Requests/sec"),
        ("1 GiB, 1 client", LARGE, 1, "Transfer/sec"),
        ("1 GiB, 8 clients", LARGE, 8, "Transfer/sec"),
    ] {
        let own = format!("{}/pulp/content/bench/{size}", app.origin());
        let theirs = format!("{}/bench/{size}", nginx.origin);
        // Each warm, and in turns: the machine may be busy for a while.
        let (mut ours, mut beside) = (0.0f64, 0.0f64);
        for _ in 0..2 {
            beside = beside.max(rate(&theirs, connections, unit)?);
            ours = ours.max(rate(&own, connections, unit)?);
        }
        let shown = |rate: f64| match unit {
            "Requests/sec" => format!("{rate:>9.0} /s"),
            _ => format!("{:>7.2} GB/s", rate / 1e9),
        };
        let (own, theirs, ratio) = (shown(ours), shown(beside), ours / beside);
        paper.fact(what, &format!("{own}   nginx {theirs}   ratio {ratio:.2}"));
    }
    Ok(())
}

/// What wrk counts.
fn rate(url: &str, connections: u32, unit: &str) -> anyhow::Result<f64> {
    let out = Command::new("wrk")
        .args([
            format!("-t{}", connections.min(2)),
            format!("-c{connections}"),
            format!("-d{SECONDS}"),
            "--timeout=30s".to_owned(),
            url.to_owned(),
        ])
        .output()
        .context("wrk is not installed (package wrk)")?;
    let text = String::from_utf8_lossy(&out.stdout);
    ensure!(!text.contains("Non-2xx"), "{url}: {text}");
    let line = text.lines().find_map(|line| line.strip_prefix(unit));
    let value = line
        .map(|rest| rest.trim_start_matches(':').trim())
        .with_context(|| text.to_string())?;
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match value.strip_prefix(digits) {
        Some("KB") => 1024.0,
        Some("MB") => 1024.0 * 1024.0,
        Some("GB") => 1024.0 * 1024.0 * 1024.0,
        _ => 1.0,
    };
    Ok(digits.parse::<f64>()? * factor)
}

/// An nginx of the benchmark's own; ends with it.
pub struct Nginx {
    /// Its address.
    pub origin: String,
    child: Child,
}

impl Nginx {
    /// Serves what is in this directory.
    ///
    /// # Errors
    /// One that is not installed, or does not answer.
    pub async fn start(root: &Path) -> anyhow::Result<Self> {
        let (port, dir) = (free_port(), root.display());
        let config = format!(
            "daemon off; worker_processes auto; pid {dir}/pid; error_log stderr warn;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n\
             open_file_cache max=100; client_body_temp_path {dir}/t; proxy_temp_path {dir}/t;\n\
             fastcgi_temp_path {dir}/t; uwsgi_temp_path {dir}/t; scgi_temp_path {dir}/t;\n\
             server {{ listen 127.0.0.1:{port}; root {dir}; }} }}\n"
        );
        let file = root.join("nginx.conf");
        std::fs::write(&file, config)?;
        let program = ["/usr/sbin/nginx", "nginx"];
        let program = program.iter().find(|path| Path::new(path).exists());
        let child = Command::new(program.unwrap_or(&"nginx"))
            .args(["-e", "stderr", "-p"])
            .arg(root)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .spawn()
            .context("nginx is not installed (package nginx-light)")?;
        let origin = format!("http://127.0.0.1:{port}");
        let nginx = Self { origin, child };
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(nginx);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("nginx does not answer")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // TERM lets it end its own workers.
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let _ = self.child.wait();
    }
}
