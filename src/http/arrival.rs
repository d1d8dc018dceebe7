//! The arrival of a request's body: bounded in size and in time. A body must arrive at a least rate, so that a few bytes a second hold
//! no connection for long.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::time::Instant;

use super::problem::Problem;
use super::problem_code::ProblemCode;

/// How long a body may take, whatever its size.
const LONGEST: Duration = Duration::from_secs(10);
/// How long a body may take without a byte.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long each further byte may take: 1 KiB a second.
const EACH_BYTE: Duration = Duration::from_nanos(1_000_000_000 / 1024);

/// How long a body may take until more than `bytes` of it have arrived.
fn allowed(bytes: usize) -> Duration {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    (PATIENCE + EACH_BYTE.saturating_mul(bytes)).min(LONGEST)
}

/// The same request with its whole body in memory, which has at most `most` bytes.
///
/// # Errors
/// A problem for a body that is too large, too slow or incomplete.
pub(super) async fn receive(request: Request, most: usize) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let announced = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > most as u64) {
        return Err(too_large(most));
    }
    let whole = receive_body(body, most).await?;
    Ok(Request::from_parts(parts, Body::from(whole)))
}

async fn receive_body(body: Body, most: usize) -> Result<Bytes, Problem> {
    let begun = Instant::now();
    let mut arriving = body.into_data_stream();
    let mut whole = BytesMut::new();
    loop {
        match tokio::time::timeout_at(begun + allowed(whole.len()), arriving.next()).await {
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Ok(part))) if whole.len() + part.len() > most => return Err(too_large(most)),
            Ok(Some(Ok(part))) => whole.extend_from_slice(&part),
            Ok(Some(Err(_))) => {
                let detail = "body could not be read: malformed chunks, or the connection ended early";
                return Err(Problem::invalid_one("", detail));
            }
            Err(_) => {
                let detail = "The body arrived too slowly: send at least 1 KiB a second, and all of it within 10 s.";
                return Err(Problem::new(ProblemCode::RequestTimeout, detail));
            }
        }
    }
}

fn too_large(most: usize) -> Problem {
    let detail = format!("The body is larger than {most} bytes.");
    Problem::new(ProblemCode::BodyTooLarge, detail)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;

    use super::*;

    /// A body of `parts` parts of `size` bytes, one every `pause`.
    fn body(parts: usize, size: usize, pause: Duration) -> Body {
        let parts = stream::iter(0..parts).then(move |_| async move {
            tokio::time::sleep(pause).await;
            Ok::<_, Infallible>(Bytes::from(vec![b'x'; size]))
        });
        Body::from_stream(parts)
    }

    async fn outcome(body: Body) -> Result<usize, ProblemCode> {
        let received = receive_body(body, 4096).await;
        received.map(|whole| whole.len()).map_err(|problem| problem.code)
    }

    #[tokio::test(start_paused = true)]
    async fn body_that_trickles_is_given_up_before_one_that_flows() {
        let second = Duration::from_secs(1);
        assert_eq!(outcome(body(4, 1024, second)).await, Ok(4096));
        assert_eq!(outcome(body(2, 1, second * 3 / 4)).await, Ok(2));
        let begun = Instant::now();
        assert_eq!(
            outcome(body(100, 1, second / 2)).await,
            Err(ProblemCode::RequestTimeout)
        );
        assert!(begun.elapsed() < second * 3, "{:?}", begun.elapsed());
        assert_eq!(
            outcome(body(5, 1024, Duration::ZERO)).await,
            Err(ProblemCode::BodyTooLarge)
        );
    }

    #[test]
    fn body_has_ten_seconds_at_most() {
        assert_eq!(allowed(0), PATIENCE);
        assert!(allowed(1024) > PATIENCE + Duration::from_millis(990) && allowed(1024) <= PATIENCE * 2);
        assert_eq!(allowed(1 << 20), LONGEST);
    }
}
