//! Setting and unsetting one label (contract 4.1).

use crate::body::{Fields, FromFields, RawText, Text};
use crate::error::{ApiError, ApiResult};
use millrace_common::tasks::kinds::check_label;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

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

impl UnsetLabelResponse {
    /// The value of a label that is set.
    ///
    /// # Errors
    /// 400 where it is not set.
    pub fn value_of(labels: &Value, key: &str) -> ApiResult<Option<String>> {
        match labels.get(key) {
            Some(value) => Ok(value.as_str().map(str::to_owned)),
            None => Err(Self::not_set(key)),
        }
    }

    /// 400 for a label that is not set.
    #[must_use]
    pub fn not_set(key: &str) -> ApiError {
        ApiError::field("key", format!("Label '{key}' is not set on the object."))
    }
}
