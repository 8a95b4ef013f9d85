use super::*;

fn load(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::from_variables(None, variables.iter().copied())
}

#[test]
fn the_defaults_are_complete_and_valid() {
    load(&[]).unwrap();
}

#[test]
fn variables_override_one_key_and_leave_its_neighbours() {
    let settings = load(&[
        ("MILLRACE__WORKER__SLOTS__DEFAULT", "25"),
        ("MILLRACE__SECRETS__KEY_FILES", "/a,/b"),
    ])
    .unwrap();
    assert_eq!(settings.worker.slots.get("default"), Some(&25));
    assert_eq!(settings.worker.slots.get("immediate"), Some(&2));
    assert_eq!(settings.secrets.key_files.len(), 2);
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    let error = load(&[("MILLRACE__WORKER__SLOT", "3")])
        .unwrap_err()
        .to_string();
    assert!(error.contains("slot"), "{error}");
}

#[test]
fn slots_of_a_class_that_no_task_has_are_refused_by_name() {
    let settings = load(&[("MILLRACE__WORKER__SLOTS__DEFALT", "25")]).unwrap();
    let error = settings.worker.check_classes(["mirror"].into_iter());
    let text = error.unwrap_err().to_string();
    assert!(
        text.contains("worker.slots: no task has the class `defalt`"),
        "{text}"
    );
    assert!(text.contains("mirror"), "{text}");
    assert!(
        settings
            .worker
            .check_classes(["defalt"].into_iter())
            .is_ok()
    );
}

#[test]
fn a_password_that_looks_like_a_number_stays_a_text() {
    let settings = load(&[("MILLRACE__ADMIN__PASSWORD", "0123")]).unwrap();
    assert_eq!(settings.admin.password.expose(), "0123");
}

#[test]
fn no_secret_is_shown() {
    let settings = load(&[
        ("MILLRACE__DATABASE__URL", "postgres://u:hush@h/d"),
        ("MILLRACE__ADMIN__PASSWORD", "hush"),
    ])
    .unwrap();
    let shown = settings.masked().unwrap() + &format!("{settings:?}");
    assert!(!shown.contains("hush"), "{shown}");
    assert!(shown.contains("postgres://u:"), "{shown}");
}

#[test]
fn a_refusal_names_the_key_and_shows_no_value() {
    for (variable, key) in [
        ("MILLRACE__DATABASE", "database"),
        ("MILLRACE__DATABASE__URL", "database.url"),
        ("MILLRACE__DATABASE__POOL_SIZE", "database.pool_size"),
        ("MILLRACE__BROKER__MANAGEMENT_URL", "broker.management_url"),
        ("MILLRACE__API__CONTENT_ORIGIN", "api.content_origin"),
    ] {
        for value in ["u:hush@h:15672", "mq://u:hush@h", "http://u:hush@h"] {
            let Err(error) = load(&[(variable, value)]) else {
                assert_eq!(key, "broker.management_url", "{value}");
                continue;
            };
            let text = format!("{error} {error:?}");
            assert!(!text.contains("hush"), "{text}");
            assert!(text.contains(key), "{text}");
        }
    }
}

#[test]
fn a_file_with_a_fault_is_named_with_the_line_but_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.toml");
    std::fs::write(&file, "[admin]\npassword = hush\n").unwrap();
    let error = Settings::from_variables(Some(&file), [("", "")]).unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("hush"), "{text}");
    assert!(text.contains("line 2, column 12"), "{text}");
    assert!(text.contains("settings.toml"), "{text}");
}
