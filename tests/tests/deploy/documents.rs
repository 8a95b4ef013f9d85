//! docs/OPERATIONS.md says what no test runs, with commands that name files that exist.

use super::manifests::{read, root};
use super::overlays::overlays;

/// From a heading to the next of its kind.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let begin = format!("\n## {heading}\n");
    let (_, rest) = text
        .split_once(&begin)
        .unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n## ").next().unwrap()
}

#[test]
fn what_no_test_runs_is_named_with_the_commands_to_try_it() {
    let text = read("docs/OPERATIONS.md");
    let untested = section(&text, "Not tested here");
    let commands: Vec<_> = untested.split("```").skip(1).step_by(2).collect();
    let commands = commands.concat();
    for needed in [
        "build -f deploy/Containerfile",
        "docker compose -f deploy/compose.yaml up",
        "kubectl apply --dry-run=server",
        "kubectl rollout restart",
    ] {
        assert!(commands.contains(needed), "{needed}");
    }
    for overlay in overlays() {
        let path = format!("deploy/kubernetes/overlays/{}", overlay.name);
        assert!(untested.contains(&path), "{path}");
    }
    for heading in ["Deploy with Compose", "Deploy on Kubernetes"] {
        let said = section(&text, heading);
        assert!(said.contains("(#not-tested-here)"), "{heading}");
    }
}

#[test]
fn the_files_that_are_named_exist() {
    let text = read("docs/OPERATIONS.md");
    let word = |c: char| !(c.is_ascii_alphanumeric() || "-._/".contains(c));
    let mut named = 0;
    for path in text.split(word).filter(|word| word.starts_with("deploy/")) {
        let path = path.trim_end_matches(['.', '/']);
        // Made by who follows the text.
        if !["deploy/.env", "deploy/secrets"]
            .iter()
            .any(|made| path.starts_with(made))
            || path.ends_with(".example")
        {
            assert!(root().join(path).exists(), "{path}");
            named += 1;
        }
    }
    assert!(named > 10);
}
