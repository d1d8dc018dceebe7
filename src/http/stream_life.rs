//! How long a stream may last.

use std::time::Duration;

use jiff::Timestamp;
use sidedoor_domain::authority::Caller;
use tokio::time::Instant;

/// A stream ends after this long and the client reconnects, so that a revoked credential does not stay in use.
const LONGEST: Duration = Duration::from_secs(3600);

/// When a stream of this caller ends at the latest: with its token, or with the token for which its ticket was issued.
pub(super) fn end(caller: &Caller, now: Timestamp) -> Instant {
    let of_token = caller
        .expires_at
        .map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
    Instant::now() + of_token.map_or(LONGEST, |left| left.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stream_ends_with_its_token_and_after_an_hour() {
        let now = Timestamp::UNIX_EPOCH;
        let lasts = |expires_at: Option<i64>| {
            let at = expires_at.map(|s| Timestamp::from_second(s).expect("a time"));
            end(&Caller::new("caller", Vec::new()).until(at), now) - Instant::now()
        };
        assert_eq!(lasts(None), LONGEST);
        assert_eq!(lasts(Some(90)), Duration::from_secs(90));
        assert_eq!(lasts(Some(-5)), Duration::ZERO);
        assert_eq!(lasts(Some(86_400)), LONGEST);
    }
}
