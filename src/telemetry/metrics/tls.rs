//! The metrics of the TLS listener, which exist only if it speaks TLS. They are read at each scrape.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Metrics;

/// The state of the TLS listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TlsFigures {
    /// When the certificate expires, Unix time in seconds.
    pub(crate) expires_at: i64,
    /// Handshakes that failed since the start.
    pub(crate) failed: u64,
}

struct TlsCollector<F>(F);

impl<F> fmt::Debug for TlsCollector<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsCollector")
    }
}

impl<F: Fn() -> TlsFigures + Send + Sync + 'static> Collector for TlsCollector<F> {
    fn encode(&self, mut to: DescriptorEncoder<'_>) -> fmt::Result {
        let figures = (self.0)();
        let expires = ConstGauge::new(figures.expires_at);
        let help = "When the certificate of the listener expires, Unix time in seconds";
        let metric = to.encode_descriptor(
            "tls_certificate_expiry_timestamp_seconds",
            help,
            None,
            expires.metric_type(),
        )?;
        expires.encode(metric)?;
        let failed = ConstCounter::new(figures.failed);
        let help = "TLS handshakes of clients that failed or took too long";
        let metric = to.encode_descriptor("tls_handshakes_failed", help, None, failed.metric_type())?;
        failed.encode(metric)
    }
}

impl Metrics {
    /// Adds the metrics of a TLS listener, which `read` reads.
    pub(crate) fn add_tls(&mut self, read: impl Fn() -> TlsFigures + Send + Sync + 'static) {
        self.registry.register_collector(Box::new(TlsCollector(read)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Now;
    use super::*;

    #[test]
    fn tls_metrics_exist_only_with_tls() {
        let mut metrics = Metrics::default();
        assert!(!metrics.exposition(&Now::default()).contains("sidedoor_tls_"));
        metrics.add_tls(|| TlsFigures {
            expires_at: 1_800_000_000,
            failed: 3,
        });
        let text = metrics.exposition(&Now::default());
        for line in [
            "sidedoor_tls_certificate_expiry_timestamp_seconds 1800000000\n",
            "sidedoor_tls_handshakes_failed_total 3\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
