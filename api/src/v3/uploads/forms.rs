//! What requests about uploads carry, and their answers.

use crate::body::{Fields, FromFields, Text};
use crate::v3::{href, time};
use chrono::{DateTime, Utc};
use millrace_common::models::Upload;
use millrace_common::prn::Prn;
use millrace_common::storage::is_sha256;
use serde::Serialize;
use utoipa::ToSchema;

/// A file that comes in pieces.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct UploadResponse {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_created: DateTime<Utc>,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_last_updated: DateTime<Utc>,
    pub size: i64,
}

impl From<Upload> for UploadResponse {
    fn from(row: Upload) -> Self {
        Self {
            pulp_href: href::upload(row.pulp_id),
            prn: Prn::from(row.pulp_id).to_string(),
            pulp_created: row.pulp_created,
            pulp_last_updated: row.pulp_last_updated,
            size: row.size,
        }
    }
}

/// A piece that has come.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct UploadChunkResponse {
    pub offset: i64,
    pub size: i64,
}

/// A file that comes in pieces, with those that have come.
#[derive(Debug, Serialize, ToSchema)]
#[expect(missing_docs, reason = "named as in the contract")]
pub struct UploadDetailResponse {
    #[schema(read_only)]
    pub pulp_href: String,
    #[schema(read_only)]
    pub prn: String,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_created: DateTime<Utc>,
    #[serde(serialize_with = "time::micros")]
    #[schema(read_only)]
    pub pulp_last_updated: DateTime<Utc>,
    pub size: i64,
    #[schema(read_only)]
    pub chunks: Vec<UploadChunkResponse>,
}

/// The size of a file that is going to come in pieces.
#[derive(Debug, ToSchema)]
#[schema(as = Upload)]
pub struct UploadRequest {
    /// Bytes of the whole file.
    pub size: i64,
}

impl FromFields for UploadRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let size = fields.required::<i64>("size")?;
        if size < 0 {
            let message = "Ensure this value is greater than or equal to 0.";
            return fields.refuse("size", message);
        }
        Some(Self { size })
    }
}

/// One piece; the header Content-Range says which.
#[derive(Debug, ToSchema)]
#[schema(as = UploadChunk)]
#[expect(
    missing_docs,
    reason = "named as in the contract; only its schema is used"
)]
pub struct UploadChunkRequest {
    #[schema(value_type = String, format = Binary)]
    pub file: Vec<u8>,
    pub sha256: Option<String>,
}

/// What a client says of a piece beside its bytes.
pub(super) struct Piece {
    pub sha256: Option<String>,
}

impl FromFields for Piece {
    fn read(fields: &mut Fields) -> Option<Self> {
        let sha256 = fields.nullable::<Text>("sha256")?.flatten();
        Some(Self {
            sha256: sha256.map(|text| text.0.to_ascii_lowercase()),
        })
    }
}

/// What the whole file must be.
#[derive(Debug, ToSchema)]
#[schema(as = UploadCommit)]
pub struct UploadCommitRequest {
    /// SHA-256 of the whole file, in hex.
    pub sha256: String,
}

impl FromFields for UploadCommitRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let sha256 = fields.required::<Text>("sha256")?.0.to_ascii_lowercase();
        if !is_sha256(&sha256) {
            return fields.refuse("sha256", "A SHA-256 digest has 64 hexadecimal digits.");
        }
        Some(Self { sha256 })
    }
}
