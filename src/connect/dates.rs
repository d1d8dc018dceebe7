//! The `Date` header of every answer: a free sample of the clock of Connect's API front end. Our own clock is read before
//! and after the exchange, so that the sample has bounds.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextMut,
    BeforeTransmitInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Layer, Storable, StoreReplace};
use jiff::Timestamp;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::ports::{Clock, DateSeen, DateSink, Operation, VendorError, VendorErrorCode, Verdict};

use crate::telemetry::spans;

/// The timeout of one request for a `Date`.
const PATIENCE: Duration = Duration::from_secs(3);

/// An SDK interceptor that samples the `Date` of every answer of one instance.
pub(super) struct DateWatch {
    pub(super) instance: InstanceName,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) sink: DateSink,
}

impl std::fmt::Debug for DateWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DateWatch")
            .field("instance", &self.instance)
            .finish_non_exhaustive()
    }
}

/// When the attempt was sent, kept in the SDK's config bag between the two hooks.
#[derive(Debug, Clone, Copy)]
struct SentAt(Timestamp);

impl Storable for SentAt {
    type Storer = StoreReplace<Self>;
}

#[dyn_dispatch_hint]
impl Intercept for DateWatch {
    fn name(&self) -> &'static str {
        "DateWatch"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // After signing, so that a proxy that replaces the header does not break the signature.
        if let Some(trace) = spans::current() {
            let headers = context.request_mut().headers_mut();
            headers.insert("traceparent", trace.as_str().to_owned());
        }
        Ok(())
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut layer = Layer::new("DateWatch");
        layer.store_put(SentAt(self.clock.now()));
        bag.push_layer(layer);
        Ok(())
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let received_at = self.clock.now();
        let date = context.response().headers().get("date").and_then(parse);
        if let (Some(date), Some(SentAt(sent_at))) = (date, bag.load::<SentAt>().copied()) {
            (self.sink)(DateSeen {
                instance: self.instance.clone(),
                sent_at,
                received_at,
                date,
            });
        }
        Ok(())
    }
}

/// Parses an HTTP date (RFC 9110: always GMT, whole seconds).
fn parse(header: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(header).ok().map(|zoned| zoned.timestamp())
}

/// Sends a small unsigned request to an endpoint for its `Date`. It calls no operation of Connect. The answer's status
/// does not matter, because an HTTP server with a clock sends `Date` with every answer (RFC 9110, 6.6.1).
pub(super) async fn ask(
    http: &reqwest::Client,
    url: &str,
    instance: &InstanceName,
    clock: &dyn Clock,
) -> Result<DateSeen, VendorError> {
    let failed = |message: String| VendorError {
        operation: Operation::Date,
        code: VendorErrorCode::DateUnavailable,
        message,
        operator_note: None,
        verdict: Verdict::Retry,
        may_have_happened: false,
    };
    let exchange = || async {
        let sent_at = clock.now();
        let answer = http.head(url).timeout(PATIENCE).send().await;
        (sent_at, answer, clock.now())
    };
    // The first exchange may include opening the connection. The second measures the round trip alone.
    let _ = exchange().await;
    let (sent_at, answer, received_at) = exchange().await;
    let answer = answer.map_err(|_| failed("the endpoint did not answer".into()))?;
    let header = answer.headers().get("date").and_then(|v| v.to_str().ok());
    let date = header
        .and_then(parse)
        .ok_or_else(|| failed("the endpoint's answer has no Date header".into()))?;
    Ok(DateSeen {
        instance: instance.clone(),
        sent_at,
        received_at,
        date,
    })
}
