//! What clients send about accounts.

use crate::app::App;
use crate::auth::faults;
use crate::body::{Field, Fields, FromFields, RawText, Text, Wrong};
use crate::error::{ApiError, ApiResult};
use millrace_common::models::{Account, AccountChange};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Characters of a name.
const NAME: usize = 150;
/// Characters of an address.
const EMAIL: usize = 254;

/// An account to be made.
#[derive(Clone, Debug, ToSchema)]
#[schema(as = User)]
#[expect(
    missing_docs,
    reason = "named as in the contract; only its schema is used"
)]
pub struct UserRequest {
    /// Letters, digits and `@.+-_`.
    #[schema(max_length = 150)]
    pub username: String,
    /// Never shown; null: nobody logs in with a password.
    #[schema(required = false, write_only)]
    pub password: Option<String>,
    #[schema(required = false, max_length = 150)]
    pub first_name: String,
    #[schema(required = false, max_length = 150)]
    pub last_name: String,
    #[schema(required = false)]
    pub email: String,
    #[schema(required = false)]
    pub is_staff: bool,
    /// False: nobody logs in.
    #[schema(required = false)]
    pub is_active: bool,
}

/// The fields that were sent; `None` where one was left out.
#[derive(Clone, Debug, Default)]
pub struct UserFields {
    pub(in crate::v3) username: Option<String>,
    /// `Some(None)`: none.
    pub(in crate::v3) password: Option<Option<String>>,
    pub(in crate::v3) first_name: Option<String>,
    pub(in crate::v3) last_name: Option<String>,
    pub(in crate::v3) email: Option<String>,
    pub(in crate::v3) is_staff: Option<bool>,
    pub(in crate::v3) is_active: Option<bool>,
}

/// All fields of an account: the name is there, what has a default has it.
#[derive(Clone, Debug)]
pub struct WholeUser(pub UserFields);

/// Some fields of an account.
#[derive(Clone, Debug)]
pub struct SomeOfUser(pub UserFields);

impl FromFields for WholeUser {
    fn read(fields: &mut Fields) -> Option<Self> {
        if !fields.has("username") {
            fields.refuse::<()>("username", "This field is required.");
        }
        let mut read = UserFields::read(fields)?;
        read.is_staff.get_or_insert(false);
        read.is_active.get_or_insert(true);
        read.username.is_some().then_some(Self(read))
    }
}

impl FromFields for SomeOfUser {
    fn read(fields: &mut Fields) -> Option<Self> {
        UserFields::read(fields).map(Self)
    }
}

impl FromFields for UserFields {
    fn read(fields: &mut Fields) -> Option<Self> {
        let username = fields.optional::<Username>("username");
        let password = fields.nullable::<Password>("password");
        let first_name = fields.optional::<PartOfName>("first_name");
        let last_name = fields.optional::<PartOfName>("last_name");
        let email = fields.optional::<Email>("email");
        let is_staff = fields.optional::<bool>("is_staff");
        let is_active = fields.optional::<bool>("is_active");
        Some(Self {
            username: username?.map(|name| name.0),
            password: password?.map(|given| given.map(|password| password.0)),
            first_name: first_name?.map(|name| name.0),
            last_name: last_name?.map(|name| name.0),
            email: email?.map(|email| email.0),
            is_staff: is_staff?,
            is_active: is_active?,
        })
    }
}

impl UserFields {
    /// What changes of an account that is stored, or what a new one is made of. A password, which clients call so, is
    /// checked and hashed: that takes a while.
    ///
    /// # Errors
    /// 400 for a password that nobody should have.
    pub async fn into_change(
        self,
        app: &App,
        stored: Option<&Account>,
        password_field: &str,
    ) -> ApiResult<AccountChange> {
        let password = match self.password.clone() {
            None => None,
            Some(None) => Some(String::new()),
            Some(Some(password)) => {
                self.check(&password, stored, password_field)?;
                Some(app.credentials.hash(password).await?)
            }
        };
        let is_other = |new: &String, old: fn(&Account) -> &String| {
            stored.is_none_or(|stored| old(stored) != new)
        };
        Ok(AccountChange {
            username: self.username.filter(|new| is_other(new, |a| &a.username)),
            // An account is made with a password, if with an empty one.
            password: password.or_else(|| stored.is_none().then(String::new)),
            first_name: self
                .first_name
                .filter(|new| is_other(new, |a| &a.first_name)),
            last_name: self.last_name.filter(|new| is_other(new, |a| &a.last_name)),
            email: self.email.filter(|new| is_other(new, |a| &a.email)),
            is_staff: self
                .is_staff
                .filter(|new| stored.is_none_or(|a| a.is_staff != *new)),
            is_active: self
                .is_active
                .filter(|new| stored.is_none_or(|a| a.is_active != *new)),
        })
    }

    fn check(&self, password: &str, stored: Option<&Account>, field: &str) -> ApiResult<()> {
        let or_stored = |given: &Option<String>, old: fn(&Account) -> &String| {
            let old = || stored.map(|a| old(a).clone());
            given.clone().or_else(old).unwrap_or_default()
        };
        let username = or_stored(&self.username, |a| &a.username);
        let first_name = or_stored(&self.first_name, |a| &a.first_name);
        let last_name = or_stored(&self.last_name, |a| &a.last_name);
        let email = or_stored(&self.email, |a| &a.email);
        let called = [
            ("username", username.as_str()),
            ("first name", &first_name),
            ("last name", &last_name),
            ("email address", &email),
        ];
        let faults = faults(password, &called);
        if faults.is_empty() {
            return Ok(());
        }
        Err(ApiError::fields(
            [(field.to_owned(), json!(faults))].into_iter().collect(),
        ))
    }
}

fn wrong<T>(message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong(json!([message.into()])))
}

fn too_long<T>(most: usize) -> Result<T, Wrong> {
    wrong(format!(
        "Ensure this field has no more than {most} characters."
    ))
}

/// What somebody logs in by.
#[derive(Debug)]
pub(in crate::v3) struct Username(pub String);

impl Field for Username {
    const EMPTY_IS_VALUE: bool = true;

    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let Text(name) = Text::from_json(value)?;
        if name.chars().count() > NAME {
            return too_long(NAME);
        }
        if !name
            .chars()
            .all(|c| c.is_alphanumeric() || "_@.+-".contains(c))
        {
            return wrong(
                "Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters.",
            );
        }
        Ok(Self(name))
    }
}

/// A password as it is, with the spaces around it.
pub(in crate::v3) struct Password(pub String);

impl Field for Password {
    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let RawText(password) = RawText::from_json(value)?;
        if password.is_empty() {
            return wrong("This field may not be blank.");
        }
        Ok(Self(password))
    }
}

/// What somebody is called; may be empty.
pub(in crate::v3) struct PartOfName(pub String);

impl Field for PartOfName {
    const EMPTY_IS_VALUE: bool = true;

    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let RawText(name) = RawText::from_json(value)?;
        let name = name.trim();
        if name.chars().count() > NAME {
            return too_long(NAME);
        }
        Ok(Self(name.to_owned()))
    }
}

/// An address for mail, as far as one can tell without sending any; may be empty.
#[derive(Debug)]
pub(in crate::v3) struct Email(pub String);

impl Field for Email {
    const EMPTY_IS_VALUE: bool = true;

    fn from_json(value: &Value) -> Result<Self, Wrong> {
        let RawText(email) = RawText::from_json(value)?;
        let email = email.trim();
        if email.chars().count() > EMAIL {
            return too_long(EMAIL);
        }
        let is_word = |part: &str| {
            let is_odd =
                |c: char| c.is_whitespace() || c.is_control() || "@<>()[],;:\\\"".contains(c);
            !part.is_empty() && !part.contains(is_odd)
        };
        let is_host = |host: &str| {
            let is_label = |label: &str| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            };
            (host.contains('.') || host == "localhost") && host.split('.').all(is_label)
        };
        let is_valid = email
            .rsplit_once('@')
            .is_some_and(|(local, host)| is_word(local) && is_host(host));
        if email.is_empty() || is_valid {
            Ok(Self(email.to_owned()))
        } else {
            wrong("Enter a valid email address.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_letters_digits_and_few_signs() {
        for good in ["jane", "Jane.Winter+1@example-org_2", "Žofie", "日本"] {
            assert_eq!(Username::from_json(&json!(good)).unwrap().0, good);
        }
        for bad in [
            json!("a b"),
            json!("a:b"),
            json!("a/b"),
            json!(""),
            json!(5),
            json!("n".repeat(151)),
        ] {
            assert!(Username::from_json(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_looks_like_one() {
        for good in ["", "j@example.org", "j.w+x@localhost"] {
            assert_eq!(Email::from_json(&json!(good)).unwrap().0, good);
        }
        for bad in [
            "j",
            "@x.org",
            "j@",
            "j@x",
            "j@@x.org",
            "j w@x.org",
            "j@x..org",
            "j@-x.org",
        ] {
            assert!(Email::from_json(&json!(bad)).is_err(), "{bad}");
        }
    }
}
