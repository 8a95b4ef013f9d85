//! The Compose file, the image, and the script that makes secrets.

use super::manifests::{check_config, compose, read, root, texts};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const OURS: [&str; 3] = ["migrate", "api", "worker"];

fn make_secrets(into: &Path) -> String {
    let made = Command::new(root().join("deploy/make-secrets"))
        .arg(into)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap()
}

/// `${NAME:-default}` as it is where nothing is set.
fn by_default(text: &str) -> String {
    let Some((before, rest)) = text.split_once("${") else {
        return text.to_owned();
    };
    let (variable, after) = rest.split_once('}').unwrap();
    let (_, default) = variable.split_once(":-").expect("a default");
    format!("{before}{default}{}", by_default(after))
}

#[test]
fn every_setting_is_one_that_the_program_accepts_and_every_secret_is_made() {
    let (file, folder) = (compose(), tempfile::tempdir().unwrap());
    make_secrets(folder.path());
    for (name, secret) in file["secrets"].as_object().unwrap() {
        let path = secret["file"].as_str().unwrap();
        let made = path
            .strip_prefix("${MILLRACE_SECRETS:-./secrets}/")
            .unwrap();
        assert!(folder.path().join(made).exists(), "{name}");
    }
    for name in OURS {
        let service = &file["services"][name];
        let command = texts(&service["command"]);
        let [program, "--config", config, ..] = command[..] else {
            panic!("{command:?}");
        };
        let config = config.strip_prefix("/run/secrets/").unwrap();
        let secrets = texts(&service["secrets"]);
        assert!(secrets.contains(&config), "{name}");
        let settings = service["environment"].as_object();
        let settings: BTreeMap<_, _> = settings
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), by_default(value.as_str().unwrap())))
            .collect();
        if let Some(key) = settings.get("MILLRACE__SECRETS__KEY_FILES") {
            assert!(secrets.contains(&key.strip_prefix("/run/secrets/").unwrap()));
        }
        let config = folder.path().join(config);
        let given = ["--config", config.to_str().unwrap()];
        let shown = check_config(program, &given, &settings).unwrap();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(
            shown["database"]["url"],
            "postgres://millrace:********@postgres:5432/millrace"
        );
        let knows_the_password = shown["admin"]["password"] != "";
        assert_eq!(knows_the_password, name == "migrate");
    }
}

#[test]
fn secrets_are_made_once_and_shut_away() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("secrets");
    make_secrets(&folder);
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let all = || {
        let files = std::fs::read_dir(&folder).unwrap();
        let files = files.map(|file| file.unwrap().path());
        files
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect::<BTreeMap<_, _>>()
    };
    let before = all();
    assert_eq!(before.len(), 5);
    assert!(make_secrets(&folder).contains("stay as they are"));
    assert_eq!(all(), before);
    let ignored = read(".gitignore");
    assert!(ignored.lines().any(|line| line == "/deploy/secrets/"));
}

#[test]
fn every_service_runs_as_nobody_on_a_read_only_root() {
    let file = compose();
    for (name, service) in file["services"].as_object().unwrap() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(
            texts(&service["security_opt"]),
            ["no-new-privileges:true"],
            "{name}"
        );
        let user = service["user"].as_str().unwrap();
        assert!(!user.starts_with("0:") && user != "root", "{name}: {user}");
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for mount in texts(&service["volumes"]) {
            if let Some(path) = mount.strip_prefix("./") {
                let (path, _) = path.split_once(':').unwrap();
                assert!(root().join("deploy").join(path).exists(), "{path}");
                assert!(mount.ends_with(":ro"), "{mount}");
            }
        }
    }
    for name in ["api", "worker"] {
        let service = &file["services"][name];
        let mounts = texts(&service["volumes"]);
        assert!(mounts.contains(&"/tmp"), "{name}");
        for setting in [
            "MILLRACE__STORAGE__ROOT",
            "MILLRACE__EXPORTS__ALLOWED_PATHS",
        ] {
            let path = service["environment"][setting].as_str().unwrap();
            let there = |mount: &&str| mount.split(':').nth(1) == Some(path);
            assert!(mounts.iter().any(there), "{name} {setting}");
        }
    }
    let worker = &file["services"]["worker"];
    assert_eq!(
        worker["environment"]["MILLRACE__WORKER__GRACE_SECONDS"],
        "600"
    );
    assert_eq!(worker["stop_grace_period"], "11m");
    assert_eq!(worker["deploy"]["replicas"], 2);
}

#[test]
fn the_image_holds_both_programs_and_runs_them_as_nobody() {
    let file = read("deploy/Containerfile");
    let last = file.rsplit("\nFROM ").next().unwrap();
    let users: Vec<_> = last
        .lines()
        .filter(|line| line.starts_with("USER"))
        .collect();
    assert_eq!(users, ["USER 65532:65532"]);
    for program in ["millrace-api", "millrace-worker"] {
        assert!(last.contains(&format!("/src/target/dist/{program}")));
    }
    assert!(file.contains("cargo build --profile dist --locked"));
    // What the build copies is what the ignore file lets through: the whole workspace.
    let manifest = read("Cargo.toml");
    let members = manifest.lines().find(|l| l.starts_with("members")).unwrap();
    let members = members.split('"').skip(1).step_by(2);
    let ignored = read(".dockerignore");
    let let_through = ignored.lines().filter_map(|line| line.strip_prefix('!'));
    let let_through: Vec<_> = let_through.collect();
    for needed in members.chain(["migrations", "Cargo.toml", "Cargo.lock", "LICENSE"]) {
        let top = needed.split('/').next().unwrap();
        assert!(let_through.contains(&top), "{needed}");
    }
    for path in let_through {
        assert!(root().join(path).exists(), "{path}");
    }
}
