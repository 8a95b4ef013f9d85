//! Setting and unsetting one label (contract 4.1).

use crate::body::{Fields, FromFields, RawText, Text};
use crate::error::{ApiError, ApiResult};
use actix_web::HttpResponse;
use millrace_common::db::Conn;
use millrace_common::models::Labeled;
use millrace_common::tasks::kinds::check_label;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A label that is to be set.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SetLabel {
    /// Its key.
    pub key: String,
    /// Its value; null is a value too.
    pub value: Option<String>,
}

/// A label that was set.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SetLabelResponse {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Option<String>,
}

/// A label that is to go.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UnsetLabel {
    /// Its key.
    pub key: String,
}

/// A label that is gone.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UnsetLabelResponse {
    /// Its key.
    pub key: String,
    /// The value that it had.
    #[schema(read_only)]
    pub value: Option<String>,
}

impl FromFields for SetLabel {
    fn read(fields: &mut Fields) -> Option<Self> {
        let key = fields.required::<Text>("key");
        let value = fields.nullable::<RawText>("value");
        let given = value.as_ref().is_some_and(Option::is_some);
        if value.is_some() && !given {
            fields.refuse::<()>("value", "This field is required.");
            return None;
        }
        let (key, value) = (key?.0, value?.flatten().map(|text| text.0));
        if let Err(message) = check_label(&key, value.as_deref()) {
            return fields.refuse("key", message);
        }
        Some(Self { key, value })
    }
}

impl FromFields for UnsetLabel {
    fn read(fields: &mut Fields) -> Option<Self> {
        let key = fields.required::<Text>("key")?.0;
        Some(Self { key })
    }
}

/// Sets a label of an object and answers.
///
/// # Errors
/// 404 where the object is gone.
pub async fn set(conn: &mut Conn, kind: Labeled, id: Uuid, label: SetLabel) -> ApiResult {
    let SetLabel { key, value } = label;
    if !kind.set(conn, id, &key, value.as_deref()).await? {
        return Err(ApiError::not_found());
    }
    Ok(HttpResponse::Created().json(SetLabelResponse { key, value }))
}

/// Takes a label of an object away and answers with the value that it had.
///
/// # Errors
/// 400 where it is not set.
pub async fn unset(conn: &mut Conn, kind: Labeled, id: Uuid, label: UnsetLabel) -> ApiResult {
    let UnsetLabel { key } = label;
    let Some(value) = kind.unset(conn, id, &key).await? else {
        let message = format!("Label '{key}' is not set on the object.");
        return Err(ApiError::field("key", message));
    };
    Ok(HttpResponse::Created().json(UnsetLabelResponse { key, value }))
}
