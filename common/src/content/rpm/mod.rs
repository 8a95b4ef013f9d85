//! The type `rpm.package`: binary packages. What is stored of one are the fields of a Pulp 2 unit.

mod header;

use super::path::refuse_conflicts;
use super::{ContentType, FromFile, StoredFile, check_relative_path};
use crate::db::Conn;
use crate::hashing;
use crate::ids::ContentId;
use crate::models::{Content, RepositoryContent};
use crate::repository::NewVersion;
use crate::representation::RpmPackage;
use crate::tasking::{TaskContext, TaskError};
use bytes::BytesMut;
use futures_util::StreamExt;
use header::{Facts, Fault, Look};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The type `rpm.package`.
pub struct Rpm;

/// Its full name.
pub const PULP_TYPE: &str = "rpm.package";
/// The type of the repositories that hold its units.
pub const REPOSITORY: &str = "rpm.rpm";

/// Definitions of the types that come with it, of which no units are made here.
pub const DESCRIBED: [&str; 3] = [
    include_str!("../types/srpm.json"),
    include_str!("../types/drpm.json"),
    include_str!("../types/erratum.json"),
];

/// What is stored of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "named as in the definition and the header")]
pub struct Unit {
    pub name: String,
    pub epoch: String,
    pub version: String,
    pub release: String,
    pub arch: String,
    pub checksumtype: String,
    pub checksum: String,
    pub filename: String,
    pub relativepath: String,
    pub license: String,
    pub vendor: String,
    pub buildhost: String,
    pub description: String,
}

impl ContentType for Rpm {
    const DEFINITION: &'static str = include_str!("../types/rpm.json");
    type Unit = Unit;

    fn natural_key(unit: &Unit) -> Vec<&str> {
        let mut key = Self::repo_key(unit);
        key.extend([unit.checksumtype.as_str(), &unit.checksum]);
        key
    }

    fn repo_key(unit: &Unit) -> Vec<&str> {
        vec![
            &unit.name,
            &unit.epoch,
            &unit.version,
            &unit.release,
            &unit.arch,
        ]
    }

    /// Paths need not follow from keys: the default one leaves the epoch out, and a client may give any.
    async fn validate_version(
        conn: &mut Conn,
        version: &NewVersion,
        added: &[ContentId],
    ) -> Result<(), TaskError> {
        let repository = version.repository;
        let found = RepositoryContent::package_path_conflicts(conn, repository, added).await?;
        refuse_conflicts(&found)
    }
}

impl FromFile for Rpm {
    const PULP_TYPE: &'static str = PULP_TYPE;
    const APP_LABEL: &'static str = "rpm";
    const SERIALIZER: &'static str = "PackageSerializer";
    const NEEDS_PATH: bool = false;
    const PATH_FIELD: &'static str = "relativepath";

    async fn read(
        ctx: &TaskContext,
        file: &StoredFile,
        path: Option<&str>,
    ) -> Result<Unit, TaskError> {
        let facts = read_package(ctx, file).await?;
        unit(facts, file, path).map_err(TaskError::failed)
    }

    async fn show(conn: &mut Conn, unit: Content) -> Result<Value, TaskError> {
        let shown = RpmPackage::load_many(conn, vec![unit]).await?;
        serde_json::to_value(shown.first()).map_err(TaskError::internal)
    }
}

fn unit(facts: Facts, file: &StoredFile, path: Option<&str>) -> Result<Unit, String> {
    let Facts {
        name,
        version,
        release,
        arch,
        ..
    } = facts;
    if facts.is_source {
        return Err(format!(
            "{name}-{version}-{release} is a source package: units of the type `srpm` are not kept."
        ));
    }
    let default = format!("{name}-{version}-{release}.{arch}.rpm");
    let path = path.unwrap_or(&default);
    check_relative_path(path)?;
    Ok(Unit {
        filename: path.rsplit('/').next().unwrap_or_default().to_owned(),
        relativepath: path.to_owned(),
        epoch: facts.epoch.to_string(),
        checksumtype: "sha256".to_owned(),
        checksum: file.sha256.clone(),
        license: facts.license,
        vendor: facts.vendor,
        buildhost: facts.build_host,
        description: facts.description,
        name,
        version,
        release,
        arch,
    })
}

/// Reads what the headers of a package say, and sees that its payload is whole where they say how. Keeps no
/// more than the headers in memory.
async fn read_package(ctx: &TaskContext, file: &StoredFile) -> Result<Facts, TaskError> {
    let refuse = |fault: Fault| TaskError::failed(fault.to_string());
    let mut stream = file.read(ctx).await?;
    let mut read = BytesMut::new();
    let extent = loop {
        match header::look(&read).map_err(refuse)? {
            Look::Whole(extent) => break extent,
            Look::Needs(bytes) => {
                while read.len() < bytes {
                    ctx.checkpoint()?;
                    let Some(more) = stream.next().await.transpose()? else {
                        return Err(refuse(header::cut_off(&read)));
                    };
                    read.extend_from_slice(&more);
                }
            }
        }
    };
    let payload = read.split_off(extent.header);
    let facts = ctx
        .blocking(move || header::read(&read, extent))
        .await?
        .map_err(refuse)?;
    if facts
        .size
        .is_some_and(|size| Ok(size) != u64::try_from(file.size))
    {
        let what = format!("{} bytes are not its whole", file.size);
        return Err(refuse(Fault::Damaged(what)));
    }
    if let Some(expected) = &facts.payload_sha256 {
        let algorithms = ["sha256".to_owned()];
        let (digests, _) = hashing::hash(ctx, &algorithms, payload, stream, None).await?;
        if digests.sha256() != expected {
            let what = "its payload is not what its header says";
            return Err(refuse(Fault::Damaged(what.to_owned())));
        }
    }
    Ok(facts)
}
