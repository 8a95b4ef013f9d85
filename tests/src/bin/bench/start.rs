//! Starting, and what the programs hold in memory.

use crate::figures::{Spread, millis};
use millrace_tests::TestApp;
use millrace_tests::app::free_port;
use millrace_tests::memory::resident;
use millrace_tests::paper::Paper;
use millrace_tests::process::Process;
use millrace_tests::stack;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ROUNDS: usize = 5;

/// Milliseconds from the start of each program to its first answer that it is alive, and ready.
///
/// # Errors
/// A program that does not become ready.
pub async fn cold(app: &TestApp, paper: &Paper) -> anyhow::Result<()> {
    paper.heading(&format!(
        "Cold start, {ROUNDS} times each, beside the running ones"
    ));
    let key = app.dir().join("key").display().to_string();
    let common = [
        ("MILLRACE__DATABASE__URL", app.db.url()),
        ("MILLRACE__BROKER__URL", app.vhost.url()),
        ("MILLRACE__STORAGE__ROOT", app.media().display().to_string()),
        ("MILLRACE__SECRETS__KEY_FILES", key),
        ("MILLRACE__LOG__FILTER", "warn".to_owned()),
    ];
    let api = (
        "millrace-api",
        "serve",
        "MILLRACE__API__LISTEN",
        "/pulp/api/v3/livez/",
        "/pulp/api/v3/readyz/",
    );
    let worker = (
        "millrace-worker",
        "run",
        "MILLRACE__WORKER__HEALTH_LISTEN",
        "/livez",
        "/readyz",
    );
    for (program, verb, listen, alive, ready) in [api, worker] {
        let (mut lives, mut serves) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let address = format!("127.0.0.1:{}", free_port());
            let mut settings: Vec<(String, String)> = common
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect();
            settings.push((listen.to_owned(), address.clone()));
            settings.push(("MILLRACE__WORKER__NAME".to_owned(), format!("cold-{round}")));
            let name = format!("cold-{program}-{round}");
            let path = stack::program(program);
            let start = Instant::now();
            let process = Process::start(&name, &path, &[verb], &settings, app.dir());
            for (path, times) in [(alive, &mut lives), (ready, &mut serves)] {
                while !answers(&address, path).await {
                    anyhow::ensure!(
                        start.elapsed() < Duration::from_secs(20),
                        "{path}: {}",
                        process.log()
                    );
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                times.push(millis(start.elapsed()));
            }
        }
        let (alive, ready) = (Spread::of(lives), Spread::of(serves));
        let text = format!(
            "alive p50 {:.0} ms   ready p50 {:.0} ms, most {:.0} ms",
            alive.p50, ready.p50, ready.p99
        );
        paper.fact(program, &text);
    }
    Ok(())
}

async fn answers(address: &str, path: &str) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer.ends_with(b" 200"))
    };
    ask.await.unwrap_or(false)
}

/// MiB of the API and its workers after all that was measured before.
pub fn memory(app: &TestApp, paper: &Paper) {
    paper.heading("Memory of the API and two workers, after all of the above");
    let mut processes: Vec<_> = app.workers.iter().map(Process::id).collect();
    processes.extend(app.api.as_ref().map(Process::id));
    let (resident, shared) = resident(&processes);
    let text = format!("{resident:.1} MiB, {shared:.1} MiB with what is shared counted once");
    paper.fact("resident", &text);
}
