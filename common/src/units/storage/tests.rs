use super::*;
use std::fs;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

struct Pulp {
    dir: TempDir,
}

impl Pulp {
    fn with(files: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let pulp = Self { dir };
        fs::create_dir(pulp.at("content")).unwrap();
        for file in files {
            pulp.write(file);
        }
        pulp
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), "bytes").unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        symlink(target, self.at(path)).unwrap();
    }

    fn is(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    fn stored(&self, path: &str) -> Stored {
        Stored {
            path: self.at(path).to_str().unwrap().to_owned(),
            again: false,
            holds_others: false,
            shares_others: false,
        }
    }

    fn remove(&self, path: &str) -> Result<bool, Fault> {
        Storage::open(self.dir.path())?.remove(&self.stored(path))
    }
}

#[test]
fn directory_goes_recursively_file_and_symlink_by_unlink() {
    let pulp = Pulp::with(&[
        "content/t/dir/a/b/c",
        "content/t/dir/d",
        "content/t/file",
        "kept/file",
    ]);
    pulp.link("content/t/link", pulp.at("kept").to_str().unwrap());
    pulp.link("content/t/dir/a/out", pulp.at("kept").to_str().unwrap());
    for path in ["content/t/dir", "content/t/file", "content/t/link"] {
        assert!(pulp.remove(path).unwrap(), "{path}");
        assert!(!pulp.is(path), "{path}");
    }
    assert!(pulp.is("kept/file"), "what a link leads to stays");
}

#[test]
fn missing_path_is_a_no_op() {
    let pulp = Pulp::with(&["content/t/file"]);
    fs::create_dir_all(pulp.at("content/t/empty/er")).unwrap();
    for path in ["content/t/empty/er/x", "content/t/no/x", "content/t/file/x"] {
        assert!(!pulp.remove(path).unwrap(), "{path}");
    }
    assert!(pulp.is("content/t/empty/er"), "no directory is removed");
    // Somebody died in between, who would have come to them.
    let again = Stored {
        again: true,
        ..pulp.stored("content/t/empty/er/gone/x")
    };
    let storage = Storage::open(pulp.dir.path()).unwrap();
    assert!(!storage.remove(&again).unwrap());
    assert!(!pulp.is("content/t/empty") && pulp.is("content/t"));
}

#[test]
fn empty_parents_are_removed_up_to_the_boundary_of_both_layouts() {
    let pulp = Pulp::with(&["content/rpm/a/b/c/file", "content/units/iso/ab/cdef/file"]);
    pulp.remove("content/rpm/a/b/c/file").unwrap();
    assert!(pulp.is("content/rpm") && !pulp.is("content/rpm/a"));
    pulp.remove("content/units/iso/ab/cdef/file").unwrap();
    assert!(pulp.is("content/units") && !pulp.is("content/units/iso"));
    // Straight below the boundary, and at it.
    pulp.write("content/rpm/file");
    pulp.write("content/loose");
    pulp.remove("content/rpm/file").unwrap();
    pulp.remove("content/loose").unwrap();
    assert!(pulp.is("content/rpm") && pulp.is("content") && !pulp.is("content/loose"));
}

#[test]
fn a_non_empty_parent_stops() {
    let pulp = Pulp::with(&["content/rpm/a/b/c/file", "content/rpm/a/other"]);
    pulp.remove("content/rpm/a/b/c/file").unwrap();
    assert!(pulp.is("content/rpm/a/other") && !pulp.is("content/rpm/a/b"));
}

/// Makes a directory one in which nothing may be changed, for an administrator too, or changes that back.
fn lock(path: &Path, is_locked: bool) {
    use rustix::fs::{IFlags, ioctl_setflags};
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        let flags = if is_locked {
            IFlags::IMMUTABLE
        } else {
            IFlags::empty()
        };
        let directory = fs::File::open(path).unwrap();
        ioctl_setflags(&directory, flags).unwrap();
    } else {
        let mode = if is_locked { 0o555 } else { 0o755 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn an_unwritable_parent_stops() {
    let pulp = Pulp::with(&["content/rpm/a/b/c/file"]);
    lock(&pulp.at("content/rpm/a"), true);
    let removed = pulp.remove("content/rpm/a/b/c/file");
    lock(&pulp.at("content/rpm/a"), false);
    assert!(removed.unwrap());
    assert!(pulp.is("content/rpm/a/b") && !pulp.is("content/rpm/a/b/c"));
}

#[test]
fn what_the_system_refuses_is_an_error_and_stays() {
    let pulp = Pulp::with(&["content/rpm/a/file"]);
    lock(&pulp.at("content/rpm/a"), true);
    let removed = pulp.remove("content/rpm/a/file");
    lock(&pulp.at("content/rpm/a"), false);
    assert!(matches!(removed, Err(Fault::System(_))), "{removed:?}");
    assert!(pulp.remove("content/rpm/a/file").unwrap());
}

#[test]
fn the_directory_of_a_type_stays() {
    let pulp = Pulp::with(&["content/rpm/file"]);
    assert!(matches!(pulp.remove("content/rpm"), Err(Fault::Refused(_))));
    assert!(pulp.is("content/rpm/file"));
}

#[test]
fn a_directory_in_which_other_units_lie_stays() {
    let pulp = Pulp::with(&["content/rpm/a/file"]);
    let storage = Storage::open(pulp.dir.path()).unwrap();
    let stored = Stored {
        holds_others: true,
        ..pulp.stored("content/rpm/a")
    };
    assert!(matches!(storage.remove(&stored), Err(Fault::Refused(_))));
    assert!(pulp.is("content/rpm/a/file"));
}

#[test]
fn a_path_that_escapes_the_storage_root_is_refused() {
    let pulp = Pulp::with(&["outside/file", "published/file", "content/t/file"]);
    pulp.link("content/t/way", pulp.at("outside").to_str().unwrap());
    pulp.link("content/up", "../outside");
    let storage = Storage::open(pulp.dir.path()).unwrap();
    for path in [
        "content/t/way/file",
        "content/up/file",
        "content/t/../../outside/file",
        "published/file",
        "content/../outside/file",
        "content",
        "",
    ] {
        let fault = storage.remove(&pulp.stored(path)).unwrap_err();
        assert!(matches!(fault, Fault::Refused(_)), "{path}: {fault}");
    }
    for path in ["content/t/file", "/etc/hostname", "../outside/file"] {
        let stored = Stored {
            path: path.to_owned(),
            ..pulp.stored("")
        };
        let fault = storage.remove(&stored).unwrap_err();
        assert!(matches!(fault, Fault::Refused(_)), "{path}: {fault}");
    }
    for path in ["outside/file", "published/file", "content/t/file"] {
        assert!(pulp.is(path), "{path}");
    }
}

#[test]
fn a_storage_that_is_not_there_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: &str| Storage::open(&dir.path().join(name)).err();
    assert!(matches!(open("missing"), Some(Fault::Away(_))));
    // A mount point without its file system.
    assert!(matches!(open(""), Some(Fault::Away(_))));
}

const SHARED: &str = "content/shared/ostree/abc";

fn shared(target: &str) -> Pulp {
    let pulp = Pulp::with(&[]);
    pulp.write(&format!("{SHARED}/content/deep/file"));
    for unit in ["one", "two"] {
        pulp.link(&format!("{SHARED}/links/{unit}"), target);
    }
    pulp
}

#[test]
fn links_left_keep_the_target_and_the_last_link_removes_it() {
    for target in ["../content", "absolute"] {
        let mut pulp = shared(target);
        if target == "absolute" {
            let whole = pulp.at(&format!("{SHARED}/content"));
            pulp = shared("../content");
            for unit in ["one", "two"] {
                let link = format!("{SHARED}/links/{unit}");
                fs::remove_file(pulp.at(&link)).unwrap();
                let here = pulp.at(&format!("{SHARED}/content"));
                pulp.link(&link, here.to_str().unwrap());
            }
            assert!(!whole.exists());
        }
        assert!(pulp.remove(&format!("{SHARED}/links/one")).unwrap());
        assert!(pulp.is(&format!("{SHARED}/content/deep/file")));
        assert!(pulp.remove(&format!("{SHARED}/links/two")).unwrap());
        assert!(!pulp.is(&format!("{SHARED}/content")));
        assert!(
            pulp.is(&format!("{SHARED}/links")),
            "the empty directory stays"
        );
        assert!(!pulp.is(&format!("{SHARED}/links/two")));
    }
}

#[test]
fn a_target_that_is_not_a_sibling_is_kept() {
    let pulp = shared("../../../../elsewhere");
    pulp.write("content/elsewhere/file");
    for unit in ["one", "two"] {
        assert!(pulp.remove(&format!("{SHARED}/links/{unit}")).unwrap());
    }
    assert!(pulp.is("content/elsewhere/file") && pulp.is(&format!("{SHARED}/content/deep/file")));
}

#[test]
fn shared_path_goes_to_unlink_shared_and_others_do_not() {
    // No link: an ordinary file with a parent that is empty then.
    let pulp = Pulp::with(&[
        "content/shared/ostree/abc/links/file",
        "content/shared/ostree/abc/content/x",
    ]);
    assert!(pulp.remove(&format!("{SHARED}/links/file")).unwrap());
    assert!(!pulp.is(&format!("{SHARED}/links")) && pulp.is(&format!("{SHARED}/content/x")));
    // A link elsewhere: what it leads to stays.
    pulp.link("content/shared-old/ostree/abc/links/one", "../content");
    pulp.write("content/shared-old/ostree/abc/content/x");
    assert!(
        pulp.remove("content/shared-old/ostree/abc/links/one")
            .unwrap()
    );
    assert!(pulp.is("content/shared-old/ostree/abc/content/x"));
}

#[test]
fn a_removal_of_the_last_link_that_was_cut_off_is_finished() {
    let pulp = shared("../content");
    pulp.remove(&format!("{SHARED}/links/one")).unwrap();
    // The target was gone, the link not yet.
    fs::remove_dir_all(pulp.at(&format!("{SHARED}/content"))).unwrap();
    assert!(pulp.remove(&format!("{SHARED}/links/two")).unwrap());
    assert!(!pulp.is(&format!("{SHARED}/links/two")));
}
