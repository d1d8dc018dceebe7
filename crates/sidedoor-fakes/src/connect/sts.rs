//! STS GetCallerIdentity, on the same port as Connect, because an SDK with one endpoint URL for all services calls it here. It
//! uses the AWS query protocol: a form in, XML out.

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::{ACCOUNT, ConnectFake, sigv4};

const MAX_BODY: usize = 64 * 1024;

/// ARN of the role that the fake's credentials belong to.
pub(super) fn arn() -> String {
    format!("arn:aws:sts::{ACCOUNT}:assumed-role/fake-sidedoor/fake-session")
}

pub(super) fn router(fake: ConnectFake) -> Router {
    Router::new().route("/", post(caller_identity)).with_state(fake)
}

async fn caller_identity(State(fake): State<ConnectFake>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_BODY).await else {
        return error(StatusCode::BAD_REQUEST, "ValidationError", "The body is too large");
    };
    let rules = fake.signature_rules();
    if let Err(e) = sigv4::check("sts", &parts.method, &parts.uri, &parts.headers, &bytes, rules) {
        // STS's code for a signature that is too old has another name than Connect's.
        let code = match e.code.as_str() {
            "InvalidSignatureException" => "SignatureDoesNotMatch",
            _ => "InvalidClientTokenId",
        };
        return error(StatusCode::FORBIDDEN, code, &e.message);
    }
    let supported =
        url::form_urlencoded::parse(&bytes).any(|(name, value)| name == "Action" && value == "GetCallerIdentity");
    if !supported {
        return error(
            StatusCode::BAD_REQUEST,
            "InvalidAction",
            "The fake supports only GetCallerIdentity",
        );
    }
    let xml = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>{}</Arn><UserId>AROAFAKE:fake-session</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
        arn(),
        uuid::Uuid::new_v4()
    );
    (StatusCode::OK, [("content-type", "text/xml")], xml).into_response()
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let xml = format!(
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error><RequestId>{}</RequestId></ErrorResponse>",
        uuid::Uuid::new_v4()
    );
    (status, [("content-type", "text/xml")], xml).into_response()
}
