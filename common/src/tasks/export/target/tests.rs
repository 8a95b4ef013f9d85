//! Two runs of one export in one directory: the first does not know yet that it lost its claim.

use super::*;
use std::fs;

struct Scene {
    dir: tempfile::TempDir,
    export: ExportId,
}

impl Scene {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            export: ExportId::new(),
        }
    }

    fn place(&self) -> Place {
        Place {
            root: self.dir.path().canonicalize().unwrap(),
            below: PathBuf::from("x"),
        }
    }

    fn begin(&self, attempt: i32) -> Result<Target, TaskError> {
        let run = Run {
            attempt,
            claim: ClaimId::new(),
        };
        Opened::make(&self.place())?.stage(self.export, &run, false)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("x")).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn link(target: &Target, name: &str) -> Result<(), Errno> {
    let parent = target.directory("")?;
    let make = |dir: &OwnedFd, own: &str| rustix::fs::symlinkat("to", dir, own);
    target.put(&parent, name, make, |error| error)
}

#[test]
fn a_run_that_lost_its_claim_leaves_what_its_successor_staged() {
    let scene = Scene::new();
    let lost = scene.begin(1).unwrap();
    let successor = scene.begin(2).unwrap();
    lost.finish().unwrap();
    link(&successor, "a").unwrap();
    drop(lost);
    link(&successor, "b").unwrap();
    successor.finish().unwrap();
    assert_eq!(scene.names(), ["a", "b"]);
}

#[test]
fn a_run_that_lost_its_claim_gives_no_names_any_more() {
    let scene = Scene::new();
    let lost = scene.begin(1).unwrap();
    link(&lost, "a").unwrap();
    let successor = scene.begin(2).unwrap();
    assert_eq!(link(&lost, "b"), Err(Errno::NOENT));
    let parent = lost.directory("").unwrap();
    let straight = |dir: &OwnedFd, name: &str| rustix::fs::symlinkat("to", dir, name);
    let put = lost.put_at_once(&parent, "b", straight);
    assert_eq!(put, Err(Errno::STALE));
    let staged = lost.begin();
    assert!(lost.create_staged(staged.own()).is_err());
    successor.finish().unwrap();
    assert_eq!(link(&lost, "c"), Err(Errno::NOENT));
    assert_eq!(scene.names(), ["a"]);
}

#[test]
fn a_run_that_begins_late_gives_way_to_a_later_one() {
    let scene = Scene::new();
    let successor = scene.begin(2).unwrap();
    assert!(matches!(scene.begin(1), Err(TaskError::Canceled)));
    link(&successor, "a").unwrap();
}

#[test]
fn what_is_dropped_before_it_has_its_name_leaves_nothing() {
    let scene = Scene::new();
    let target = scene.begin(1).unwrap();
    let staged = target.begin();
    target.create_staged(staged.own()).unwrap();
    drop(staged);
    assert_eq!(names(&target.staging).unwrap().count(), 0);
    drop(target);
    assert_eq!(scene.names(), Vec::<String>::new());
}

#[test]
fn an_ended_export_is_cleared_over_no_link() {
    let scene = Scene::new();
    let target = scene.begin(1).unwrap();
    link(&target, "kept").unwrap();
    let staged = target.begin();
    target.create_staged(staged.own()).unwrap();
    std::mem::forget(staged);
    std::mem::forget(target);
    clear(&scene.place(), ExportId::new()).unwrap();
    assert_eq!(scene.names().len(), 2);
    clear(&scene.place(), scene.export).unwrap();
    clear(&scene.place(), scene.export).unwrap();
    assert_eq!(scene.names(), ["kept"]);
    let other = Place {
        below: PathBuf::from("none"),
        ..scene.place()
    };
    clear(&other, scene.export).unwrap();
}
