//! What clients send about roles that somebody is to hold.

use crate::body::{Fields, FromFields, Text};
use utoipa::ToSchema;

macro_rules! schema {
    ($name:ident, $as:ident, $holder:literal) => {
        #[doc = concat!("A role that ", $holder, " is to hold.")]
        #[derive(Clone, Debug, ToSchema)]
        #[schema(as = $as)]
        #[expect(
            missing_docs,
            reason = "named as in the contract; only its schema is used"
        )]
        pub struct $name {
            pub role: String,
            /// The object on which it is held, by href or PRN; null: everywhere, or in the domain.
            #[schema(required = false)]
            pub content_object: Option<String>,
            /// The same by PRN.
            #[schema(required = false)]
            pub content_object_prn: Option<String>,
            /// The domain in which it is held; not together with an object.
            #[schema(required = false)]
            pub domain: Option<String>,
        }
    };
}

schema!(UserRoleRequest, UserRole, "an account");
schema!(GroupRoleRequest, GroupRole, "a group");

/// A role that somebody is to hold, as it was sent.
#[derive(Clone, Debug)]
pub struct NewAssignment {
    pub(super) role: String,
    /// The field that names the object, and what it says.
    pub(super) object: Option<(&'static str, String)>,
    pub(super) domain: Option<String>,
}

impl FromFields for NewAssignment {
    fn read(fields: &mut Fields) -> Option<Self> {
        let is_given = fields.has("content_object") || fields.has("content_object_prn");
        let role = fields.required::<Text>("role");
        let href = fields.nullable::<Text>("content_object");
        let prn = fields.nullable::<Text>("content_object_prn");
        let domain = fields.nullable::<Text>("domain");
        let (role, href, prn, domain) = (role?, href?.flatten(), prn?.flatten(), domain?.flatten());
        let refuse =
            |fields: &mut Fields, message: &str| fields.refuse("non_field_errors", message);
        if !is_given {
            return refuse(
                fields,
                "One of content_object and content_object_prn must be given; null stands for everywhere.",
            );
        }
        let object = match (href, prn) {
            (Some(_), Some(_)) => {
                return refuse(
                    fields,
                    "content_object and content_object_prn exclude each other.",
                );
            }
            (Some(href), None) => Some(("content_object", href.0)),
            (None, Some(prn)) => Some(("content_object_prn", prn.0)),
            (None, None) => None,
        };
        if object.is_some() && domain.is_some() {
            return refuse(fields, "content_object and domain exclude each other.");
        }
        Some(Self {
            role: role.0,
            object,
            domain: domain.map(|domain| domain.0),
        })
    }
}
