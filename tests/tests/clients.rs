//! Clients that others made: the generated ones, and one that makes requests from our own document.

use millrace_tests::{TestApp, stack};
use std::path::{Path, PathBuf};
use std::process::Output;
use tokio::process::Command;

/// Requests that schemathesis makes for a call, unless the environment says otherwise.
const EXAMPLES: &str = "4";

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

async fn succeeds(command: &mut Command) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.env("NO_PROXY", "*").output().await.unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr),
    );
    println!("{out}");
    assert!(status.success(), "{out}\n{err}");
}

#[tokio::test]
async fn the_generated_clients_drive_every_resource() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::builder()
        .set("exports.allowed_paths", directory.path().display())
        .workers(1)
        .start()
        .await;
    succeeds(
        Command::new(stack::venv().join("bin/python"))
            .arg(scripts().join("generated.py"))
            .args([app.origin(), "test-password"])
            .arg(directory.path()),
    )
    .await;
    app.finish().await;
}

/// The calls are parted among so many runs. Of a short run only one is made, which `MILLRACE_TEST_SEED` chooses: all
/// take minutes.
const PARTS: u64 = 3;

#[tokio::test]
async fn requests_made_from_the_document_get_the_answers_that_it_describes() {
    let examples = stack::setting("MILLRACE_TEST_FUZZ_EXAMPLES");
    let parts = match examples {
        Some(_) => 0..PARTS,
        None => {
            let one = stack::seed() % PARTS;
            one..one + 1
        }
    };
    for part in parts {
        let examples = examples.as_deref().unwrap_or(EXAMPLES);
        request(&format!("{part}/{PARTS}"), examples).await;
    }
}

/// Makes the requests of a part.
async fn request(part: &str, examples: &str) {
    let app = TestApp::with_workers(1).await;
    let directory = tempfile::tempdir().unwrap();
    let document = format!("{}/pulp/api/v3/docs/api.json?pk_path=1", app.origin());
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_headers_conformance,response_schema_conformance";
    succeeds(
        Command::new(stack::venv().join("bin/schemathesis"))
            .args(["run", &document, "--auth", "admin:test-password"])
            .args(["--checks", checks, "--max-examples", examples])
            .args(["--generation-database", "none", "--no-color"])
            .env("MILLRACE_TEST_PART", part)
            .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
            .env("PYTHONPATH", scripts())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(directory.path()),
    )
    .await;
}
