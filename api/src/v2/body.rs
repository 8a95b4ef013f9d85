//! Bodies of this dialect: JSON, whatever type the request says that they have.

use super::problem::{Answer, Problem};
use crate::app::App;
use crate::body::{json, read_bytes};
use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde_json::Value;

/// A body that is still to be read.
pub struct Sent {
    app: Data<App>,
    request: HttpRequest,
    payload: Payload,
}

impl FromRequest for Sent {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Answer<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let app = request.app_data::<Data<App>>().cloned();
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let app = app.ok_or_else(|| Problem::internal("the app is not set up"))?;
            Ok(Self {
                app,
                request,
                payload,
            })
        })
    }
}

impl Sent {
    /// Its JSON; `None` where it is empty.
    ///
    /// # Errors
    /// 400 where it is none, 413 where it has more bytes than that, 408 where it is late.
    pub async fn or_empty(self, limit: usize) -> Answer<Option<Value>> {
        let bytes = read_bytes(&self.app, &self.request, self.payload, limit).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        read(&bytes).map(Some)
    }

    /// Its JSON. An empty one is none.
    ///
    /// # Errors
    /// As [`Sent::or_empty`].
    pub async fn json(self) -> Answer<Value> {
        let limit = self.app.settings.api.body_limit;
        self.or_empty(limit).await?.ok_or_else(Problem::no_json)
    }
}

fn read(bytes: &[u8]) -> Answer<Value> {
    let parsed = json::parse_body(bytes).map_err(|_text| Problem::no_json())?;
    Ok(parsed.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_no_json_or_not_utf_8_is_refused_with_plp1009() {
        assert_eq!(read(b"[1, \"a\"]").unwrap(), serde_json::json!([1, "a"]));
        for bad in [&b"{"[..], b"", b" ", b"\"\xff\"", b"[1] [2]", b"nope"] {
            let problem = read(bad).unwrap_err();
            assert_eq!(problem.details()["code"], "PLP1009", "{bad:?}");
        }
    }
}
