//! The rest-json protocol of Amazon Connect: the real service's paths, error header and body, request ids, and a `Date` header
//! with the vendor's time.

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;

use super::ledger::CallEntry;
use super::state::ApiError;
use super::{
    ConnectFake, associations, constraints, contact_search, control_api, operations, regions, sigv4, sts, user_data,
};
use crate::clock::{iso, real_now};
use crate::control;
use crate::faults::Fault;

/// Longest accepted body, bytes.
const MAX_BODY: usize = 1024 * 1024;

/// The vendor's API and the control API.
pub(crate) fn router(fake: ConnectFake) -> Router {
    let service = Router::new()
        .route("/contact/monitor", post(monitor))
        .route("/contact/stop", post(stop))
        .route("/contacts/{instance}/{contact}", get(describe))
        .route("/contact/associated/{instance}", get(associated))
        .route("/metrics/userdata/{instance}", post(current_user_data))
        .route("/search-users", post(search_users))
        .route("/search-contacts", post(search_contacts))
        .route("/users/{instance}/{user}", get(describe_user))
        .route("/queues/{instance}/{queue}", get(describe_queue))
        .route("/security-profiles-summary/{instance}", get(security_profiles))
        .route("/instance/{instance}", get(describe_instance))
        .route("/instance/{instance}/attribute/{kind}", get(describe_attribute))
        .with_state(fake.clone());
    let unknown = || async {
        answer_error(&ApiError::new(
            404,
            "UnknownOperationException",
            "The fake does not support this operation",
        ))
    };
    let date_header = from_fn_with_state(fake.clone(), set_date);
    service
        .merge(sts::router(fake.clone()))
        .merge(control::router(control_api::routes(), fake))
        .fallback(unknown)
        .layer(date_header)
}

/// Sets the `Date` header of every answer, errors included, to the vendor's time.
async fn set_date(State(fake): State<ConnectFake>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let vendor_now = {
        let state = fake.state();
        state.settings.clock.read(real_now(), state.since)
    };
    let date = vendor_now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert("date", date);
    }
    response
}

async fn monitor(State(fake): State<ConnectFake>, request: Request) -> Response {
    fake.serve("MonitorContact", request, |fake, body| {
        let (answer, leg) = operations::monitor(&mut fake.state(), body)?;
        if let Some(leg) = leg {
            fake.after_leg_began(&leg);
        }
        Ok(answer)
    })
    .await
}

async fn stop(State(fake): State<ConnectFake>, request: Request) -> Response {
    fake.serve("StopContact", request, |fake, body| {
        let done = operations::stop(&mut fake.state(), body);
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
        operations::instance(&fake.state(), &instance)?;
        operations::describe(&fake.state(), &contact)
    })
    .await
}

async fn associated(State(fake): State<ConnectFake>, Path(instance): Path<String>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    fake.serve("ListAssociatedContacts", request, move |fake, _| {
        operations::instance(&fake.state(), &instance)?;
        associations::list(&fake.state(), &query)
    })
    .await
}

async fn current_user_data(
    State(fake): State<ConnectFake>,
    Path(instance): Path<String>,
    request: Request,
) -> Response {
    let region = regions::of_call(request.headers());
    fake.serve("GetCurrentUserData", request, move |fake, body| {
        operations::instance(&fake.state(), &instance)?;
        user_data::user_data(&mut fake.state(), body, &region)
    })
    .await
}

async fn search_users(State(fake): State<ConnectFake>, request: Request) -> Response {
    fake.serve("SearchUsers", request, |fake, body| {
        operations::instance(
            &fake.state(),
            body.get("InstanceId").and_then(Value::as_str).unwrap_or_default(),
        )?;
        operations::search_users(&fake.state(), body)
    })
    .await
}

async fn search_contacts(State(fake): State<ConnectFake>, request: Request) -> Response {
    let region = regions::of_call(request.headers());
    fake.serve("SearchContacts", request, move |fake, body| {
        contact_search::search(&fake.state(), body, &region)
    })
    .await
}

async fn describe_user(
    State(fake): State<ConnectFake>,
    Path((instance, user)): Path<(String, String)>,
    request: Request,
) -> Response {
    fake.serve("DescribeUser", request, move |fake, _| {
        operations::instance(&fake.state(), &instance)?;
        operations::describe_user(&fake.state(), &user)
    })
    .await
}

async fn describe_queue(
    State(fake): State<ConnectFake>,
    Path((instance, queue)): Path<(String, String)>,
    request: Request,
) -> Response {
    fake.serve("DescribeQueue", request, move |fake, _| {
        operations::instance(&fake.state(), &instance)?;
        operations::describe_queue(&fake.state(), &queue)
    })
    .await
}

async fn describe_instance(
    State(fake): State<ConnectFake>,
    Path(instance): Path<String>,
    request: Request,
) -> Response {
    fake.serve("DescribeInstance", request, move |fake, _| {
        operations::instance(&fake.state(), &instance)?;
        Ok(operations::describe_instance(&fake.state()))
    })
    .await
}

async fn describe_attribute(
    State(fake): State<ConnectFake>,
    Path((instance, kind)): Path<(String, String)>,
    request: Request,
) -> Response {
    fake.serve("DescribeInstanceAttribute", request, move |fake, _| {
        operations::instance(&fake.state(), &instance)?;
        Ok(operations::describe_attribute(&fake.state(), &kind))
    })
    .await
}

async fn security_profiles(
    State(fake): State<ConnectFake>,
    Path(instance): Path<String>,
    request: Request,
) -> Response {
    fake.serve("ListSecurityProfiles", request, move |fake, _| {
        operations::instance(&fake.state(), &instance)?;
        Ok(operations::security_profiles())
    })
    .await
}

impl ConnectFake {
    /// Handles one call: verifies the signature, applies a scripted fault, runs `effect`, and writes the ledger.
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
        let rules = self.signature_rules();
        let checked = sigv4::check("connect", &parts.method, &parts.uri, &parts.headers, &bytes, rules);
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let about = about(&parts.uri, &body);
        let region = regions::of_call(&parts.headers);
        let fault = if checked.is_ok() {
            self.state().faults.take_matching(operation, &about)
        } else {
            None
        };
        if let Some(fault) = &fault {
            tokio::time::sleep(fault.delay()).await;
        }
        let outcome = match (&checked, &fault) {
            (Err(e), _) => Err(e.clone()),
            (Ok(()), Some(fault)) if fault.prevents_effect() => Err(scripted_error(fault)),
            _ if !bytes.is_empty() && body.is_null() => {
                Err(ApiError::new(400, "SerializationException", "The body is not JSON"))
            }
            _ => {
                let allowed = operations::allowed(&self.state(), operation);
                let kind = self.state().settings.constraint_error;
                allowed
                    .and_then(|()| constraints::check(operation, &parts.uri, &body, kind))
                    .and_then(|input| self.state().check_region(operation, &region, &input))
                    .and_then(|()| effect(self, &body))
            }
        };
        let outcome = match (outcome, &fault) {
            (Ok(_), Some(fault)) if fault.after_effect && fault.status.is_some() => Err(scripted_error(fault)),
            (outcome, _) => outcome,
        };
        let status = match &fault {
            Some(fault) if fault.loses_answer() => 0,
            Some(fault) if fault.html_page => fault.status.unwrap_or(200),
            _ => outcome.as_ref().map_or_else(|e| e.status, |_| 200),
        };
        let client_token = body.get("ClientToken").and_then(Value::as_str).map(ToOwned::to_owned);
        let entry = CallEntry {
            operation: operation.into(),
            about,
            region,
            client_token,
            trace_parent: crate::trace_parent(&parts.headers),
            status,
            at: iso(real_now()),
        };
        self.state().ledger.call(entry);
        let mut response = match outcome {
            Ok(answer) => axum::Json(answer).into_response(),
            Err(e) => answer_error(&e),
        };
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
            headers.insert("x-amzn-requestid", id);
        }
        match fault {
            Some(fault) => tokio::select! {
                distorted = fault.distort(response) => distorted,
                // Otherwise a hanging call would delay the fake's end.
                () = self.stop.cancelled() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            },
            None => response,
        }
    }
}

/// The ids in the body, or the path if the body has none: the text that a fault's `matching` is compared with.
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

fn scripted_error(fault: &Fault) -> ApiError {
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
