//! Compiles again when a migration changes: they are embedded. Names their state, so that tests know
//! which one a database was made from.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=../migrations");
    let mut files: Vec<PathBuf> = std::fs::read_dir("../migrations")?
        .map(|entry| entry.map(|entry| entry.path().join("up.sql")))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut hash = DefaultHasher::new();
    for file in files {
        std::fs::read(file).unwrap_or_default().hash(&mut hash);
    }
    println!("cargo:rustc-env=MILLRACE_MIGRATIONS={:016x}", hash.finish());
    Ok(())
}
