//! docs/OPERATIONS.md says what no test runs, with commands that name files that exist.

use super::manifests::{read, root};
use super::overlays::overlays;
use serde_json::Value;

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

/// The table of all settings, from the file with their defaults.
fn settings() -> String {
    let mut table = "# Settings\n\nMade from [default.toml](../common/src/default.toml), which the programs read first; how to set them is in the \
        [README](../README.md#settings).\n"
        .to_owned();
    let (mut section, mut comment) = (String::new(), String::new());
    for line in read("common/src/default.toml").lines() {
        if let Some(text) = line.strip_prefix("# ") {
            comment = format!("{comment} {text}").trim().to_owned();
        } else if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
            table += &format!("\n## `{section}`\n\n");
            if !comment.is_empty() {
                table += &format!("{comment}\n\n");
            }
            table += "| setting | default | |\n|---|---|---|\n";
            comment.clear();
        } else if let Some((key, default)) = line.split_once(" = ") {
            assert!(!comment.is_empty(), "{section}.{key} has no explanation");
            let comment = std::mem::take(&mut comment).replace('|', "\\|");
            table += &format!("| `{section}.{key}` | `{default}` | {comment} |\n");
        } else {
            comment.clear();
        }
    }
    table
}

#[test]
fn every_setting_is_in_the_table_with_its_default() {
    let wanted = settings();
    let shown = millrace_common::config::Settings::from_variables::<&str, &str>(None, []);
    let shown: Value = serde_json::from_str(&shown.unwrap().masked().unwrap()).unwrap();
    for (section, keys) in shown.as_object().unwrap() {
        for key in keys.as_object().unwrap().keys() {
            let name = format!("{section}.{key}");
            let is_there = wanted.contains(&format!("| `{name}` |"));
            assert!(
                is_there || wanted.contains(&format!("## `{name}`")),
                "{name}"
            );
        }
    }
    let written = std::env::temp_dir().join("millrace-settings.md");
    std::fs::write(&written, &wanted).unwrap();
    let written = written.display();
    let is_current = read("docs/SETTINGS.md") == wanted;
    assert!(
        is_current,
        "docs/SETTINGS.md is not as it should be: cp {written} docs/SETTINGS.md"
    );
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
