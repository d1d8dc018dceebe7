//! rest-json on the socket: the real service's paths, error header and body, request ids, and a `Date` off the vendor's
//! clock.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;

use super::ledger::CallEntry;
use super::world::ApiError;
use super::{ConnectFake, admin, operations, sigv4, sts};
use crate::clock::{iso, real_now};
use crate::faults::{Fault, dropped_connection};

/// The largest body taken.
const MAX_BODY: usize = 1024 * 1024;

/// The service and its admin API.
pub fn router(fake: ConnectFake) -> Router {
    let service = Router::new()
        .route("/contact/monitor", post(monitor))
        .route("/contact/stop", post(stop))
        .route("/contacts/{instance}/{contact}", get(describe))
        .route("/metrics/userdata/{instance}", post(user_data))
        .route("/search-users", post(search_users))
        .route("/users/{instance}/{user}", get(describe_user))
        .route("/security-profiles-summary/{instance}", get(security_profiles))
        .route("/instance/{instance}", get(describe_instance))
        .route("/instance/{instance}/attribute/{kind}", get(describe_attribute))
        .with_state(fake.clone());
    let unknown = || async {
        answer_error(&ApiError::new(
            404,
            "UnknownOperationException",
            "There is no such operation here",
        ))
    };
    let dated = from_fn_with_state(fake.clone(), dated);
    service
        .merge(sts::router(fake.clone()))
        .merge(admin::router(fake))
        .fallback(unknown)
        .layer(dated)
}

/// Every answer's `Date` is read off the vendor's clock, an error's too.
async fn dated(State(fake): State<ConnectFake>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let vendor_now = {
        let world = fake.world();
        world.settings.clock.read(real_now(), world.since)
    };
    let date = vendor_now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert("date", date);
    }
    response
}

async fn monitor(State(fake): State<ConnectFake>, request: Request) -> Response {
    fake.serve("MonitorContact", request, |fake, body| {
        let (answer, leg) = operations::monitor(&mut fake.world(), body)?;
        if let Some(leg) = leg {
            fake.after_leg_began(&leg);
        }
        Ok(answer)
    })
    .await
}

async fn stop(State(fake): State<ConnectFake>, request: Request) -> Response {
    fake.serve("StopContact", request, |fake, body| {
        let done = operations::stop(&mut fake.world(), body);
        fake.publish();
        done
    })
    .await
}

async fn describe(
    State(fake): State<ConnectFake>,
    Path((instance, contact)): Path<(String, String)>,
    request: Request,
) -> Response {
    fake.serve("DescribeContact", request, move |fake, _| {
        operations::instance(&fake.world(), &instance)?;
        operations::describe(&fake.world(), &contact)
    })
    .await
}

async fn user_data(State(fake): State<ConnectFake>, Path(instance): Path<String>, request: Request) -> Response {
    fake.serve("GetCurrentUserData", request, move |fake, body| {
        operations::instance(&fake.world(), &instance)?;
        operations::user_data(&fake.world(), body)
    })
    .await
}

async fn search_users(State(fake): State<ConnectFake>, request: Request) -> Response {
    fake.serve("SearchUsers", request, |fake, body| {
        operations::instance(
            &fake.world(),
            body.get("InstanceId").and_then(Value::as_str).unwrap_or_default(),
        )?;
        operations::search_users(&fake.world(), body)
    })
    .await
}

async fn describe_user(
    State(fake): State<ConnectFake>,
    Path((instance, user)): Path<(String, String)>,
    request: Request,
) -> Response {
    fake.serve("DescribeUser", request, move |fake, _| {
        operations::instance(&fake.world(), &instance)?;
        operations::describe_user(&fake.world(), &user)
    })
    .await
}

async fn describe_instance(
    State(fake): State<ConnectFake>,
    Path(instance): Path<String>,
    request: Request,
) -> Response {
    fake.serve("DescribeInstance", request, move |fake, _| {
        operations::instance(&fake.world(), &instance)?;
        Ok(operations::describe_instance(&fake.world()))
    })
    .await
}

async fn describe_attribute(
    State(fake): State<ConnectFake>,
    Path((instance, kind)): Path<(String, String)>,
    request: Request,
) -> Response {
    fake.serve("DescribeInstanceAttribute", request, move |fake, _| {
        operations::instance(&fake.world(), &instance)?;
        Ok(operations::describe_attribute(&fake.world(), &kind))
    })
    .await
}

async fn security_profiles(
    State(fake): State<ConnectFake>,
    Path(instance): Path<String>,
    request: Request,
) -> Response {
    fake.serve("ListSecurityProfiles", request, move |fake, _| {
        operations::instance(&fake.world(), &instance)?;
        Ok(operations::security_profiles())
    })
    .await
}

impl ConnectFake {
    /// One call: signature, scripted fault, effect, ledger, answer.
    async fn serve(
        &self,
        operation: &str,
        request: Request,
        effect: impl FnOnce(&Self, &Value) -> Result<Value, ApiError>,
    ) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(bytes) = to_bytes(body, MAX_BODY).await else {
            return answer_error(&ApiError::new(400, "InvalidRequestException", "The body is too large"));
        };
        let verify = self.world().settings.verify_signatures;
        let checked = sigv4::check("connect", &parts.method, &parts.uri, &parts.headers, &bytes, verify);
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let about = about(&parts.uri, &body);
        let fault = if checked.is_ok() {
            self.world().faults.meet(operation, &about)
        } else {
            None
        };
        if let Some(fault) = &fault {
            tokio::time::sleep(fault.delay()).await;
        }
        let outcome = match (&checked, &fault) {
            (Err(e), _) => Err(e.clone()),
            (Ok(()), Some(fault)) if !fault.after_effect && (fault.status.is_some() || fault.drop_connection) => {
                Err(scripted(fault))
            }
            _ if !bytes.is_empty() && body.is_null() => {
                Err(ApiError::new(400, "SerializationException", "The body is not JSON"))
            }
            _ => {
                let allowed = operations::allowed(&self.world(), operation);
                allowed.and_then(|()| effect(self, &body))
            }
        };
        let outcome = match (outcome, &fault) {
            (Ok(_), Some(fault)) if fault.after_effect && fault.status.is_some() => Err(scripted(fault)),
            (outcome, _) => outcome,
        };
        let dropped = fault.as_ref().is_some_and(|f| f.drop_connection);
        let status = if dropped {
            0
        } else {
            outcome.as_ref().map_or_else(|e| e.status, |_| 200)
        };
        let client_token = body.get("ClientToken").and_then(Value::as_str).map(ToOwned::to_owned);
        let entry = CallEntry {
            operation: operation.into(),
            about,
            client_token,
            status,
            at: iso(real_now()),
        };
        self.world().ledger.call(entry);
        if dropped {
            return dropped_connection();
        }
        let mut response = match outcome {
            // StopContact's answer is an empty body; the others' are JSON.
            Ok(answer) if answer.as_object().is_some_and(serde_json::Map::is_empty) => {
                (StatusCode::OK, Body::from(Bytes::from_static(b"{}"))).into_response()
            }
            Ok(answer) => axum::Json(answer).into_response(),
            Err(e) => answer_error(&e),
        };
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
            headers.insert("x-amzn-requestid", id);
        }
        response
    }
}

/// The ids a call is about.
fn about(uri: &axum::http::Uri, body: &Value) -> String {
    let of_body: Vec<&str> = ["ContactId", "UserId"]
        .iter()
        .filter_map(|k| body.get(*k)?.as_str())
        .collect();
    if of_body.is_empty() {
        uri.path().to_owned()
    } else {
        of_body.join(" ")
    }
}

fn scripted(fault: &Fault) -> ApiError {
    ApiError::new(fault.status.unwrap_or(500), &fault.code, fault.message.clone())
}

fn answer_error(e: &ApiError) -> Response {
    let status = StatusCode::from_u16(e.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::json!({"message": e.message}).to_string();
    let kind = format!("{}:http://internal.amazon.com/coral/com.amazonaws.connect/", e.code);
    (
        status,
        [("x-amzn-errortype", kind), ("content-type", "application/json".into())],
        body,
    )
        .into_response()
}
