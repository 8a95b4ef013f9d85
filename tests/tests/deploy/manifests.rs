//! Files as data, and what the programs say of settings.

use millrace_tests::stack;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The root of the repository.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().to_owned()
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Renders and validates; the error is what is wrong.
pub fn manifests(arguments: &[&str], input: &str) -> Result<Value, String> {
    let mut child = Command::new(stack::venv().join("bin/python"))
        .arg("tests/clients/manifests.py")
        .args(arguments)
        .current_dir(root())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who reads nothing may have closed it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    if status.success() {
        Ok(serde_json::from_slice(&stdout).unwrap())
    } else {
        Err(String::from_utf8(stderr).unwrap())
    }
}

pub fn compose() -> Value {
    let rendered = manifests(&["compose", "deploy/compose.yaml"], "");
    rendered.unwrap_or_else(|faults| panic!("{faults}"))
}

pub fn texts(list: &Value) -> Vec<&str> {
    let list = list.as_array().into_iter().flatten();
    list.map(|text| text.as_str().unwrap()).collect()
}

/// What a program says of these settings, and of no others.
pub fn check_config(
    program: &str,
    arguments: &[&str],
    settings: &BTreeMap<String, String>,
) -> Result<String, String> {
    let output = Command::new(stack::program(program))
        .args(arguments)
        .arg("check-config")
        .env_clear()
        .envs(settings)
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}
