//! The composition root: builds the app from the configuration and runs it until it is stopped. Only this module depends on all
//! others. The listener is injected, so that tests and the demo can use any free port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use sidedoor_domain::ports::{Clock, Crm, DateSink};
use tokio::net::TcpListener;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::connect::AmazonConnect;
use crate::http::{self, Connections, Credentials, HttpFigures, Listener, Tls};
use crate::lifecycle::{Lifecycle, Stopped};
use crate::random::SystemRandom;
use crate::salesforce::Salesforce;
use crate::store::sqlite::{OpenError, SqliteStore, StoreFault};
use crate::telemetry::metrics::tls::TlsFigures;
use crate::telemetry::metrics::{Metrics, Now};
use crate::usecases::reports::supervisions::ServiceCounts;
use crate::usecases::{self, UseCaseIntervals, UseCases};

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The unfinished work of an earlier process cannot be resumed.
    #[error("cannot resume: {0}")]
    Resume(#[from] usecases::UseCaseError),
    /// The TLS client cannot be built.
    #[error("cannot build the TLS client: {0}")]
    Client(#[from] reqwest::Error),
    /// The certificate of the listener is unusable.
    #[error(transparent)]
    Tls(#[from] http::BadCertificate),
    /// The key file of an issuer is unusable.
    #[error(transparent)]
    Keys(#[from] http::BadKeyFile),
    /// The listener has no local address.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}

/// Settings for tests and the demo, which the configuration file does not have.
#[derive(Clone, Default)]
pub struct Overrides {
    /// AWS access key id and secret; without them the default chain of the SDK is used.
    pub credentials: Option<(String, SecretString)>,
    /// The intervals of the use cases' loops.
    pub pace: UseCaseIntervals,
    /// Replaces the system clock.
    pub clock: Option<Arc<dyn Clock>>,
}

/// The running service.
pub struct App {
    /// Stops the service and reports its readiness.
    pub lifecycle: Lifecycle,
    /// The address on which it listens.
    pub address: SocketAddr,
    store: Arc<SqliteStore>,
    drain: Duration,
}

/// Builds the app, resumes the unfinished work of an earlier process, and starts to serve.
///
/// # Errors
/// [`StartError`].
pub async fn start(config: Config, listener: TcpListener, overrides: Overrides) -> Result<App, StartError> {
    let lifecycle = Lifecycle::default();
    if config.auth.is_open() {
        tracing::warn!("authentication is disabled: any local process has full access; add [[auth.api_keys]]");
    }
    let credentials = Credentials::new(config.auth.api_keys, config.auth.issuers)?;
    if config.audit.keys.is_empty() && !config.http.listen.ip().is_loopback() {
        tracing::warn!(
            "audit.key_file is not set: anyone who can write the store can rewrite its audit, and only a head of the audit that is kept \
             elsewhere shows it"
        );
    }
    let clock = overrides.clock.unwrap_or_else(|| Arc::new(SystemClock::start()));
    let transport = config.http.transport;
    let tls = transport.tls.map(|files| Tls::open(files, clock.clone())).transpose()?;
    let tls = tls.map(Arc::new);
    let store = SqliteStore::open_signing(&config.store.url, config.usecases.max_voice_legs, config.audit.keys);
    let store = Arc::new(store.await?);
    // `Date` headers are samples for calibration, so some may be dropped while the use cases are busy.
    let (hand_in, dates) = tokio::sync::mpsc::channel(64);
    let sink: DateSink = Arc::new(move |seen| {
        let _ = hand_in.try_send(seen);
    });
    let telephony = AmazonConnect::new(&config.connect, overrides.credentials, clock.clone(), sink).await?;
    let crm: Option<Arc<dyn Crm>> = match &config.salesforce {
        Some(org) => Some(Arc::new(Salesforce::new(org.clone(), clock.clone())?)),
        None => None,
    };
    let settings = usecases::UseCaseSettings {
        intervals: overrides.pace,
        ..config.usecases
    };
    let (announces, compares) = (settings.announce, settings.compare);
    let mut metrics = Metrics::default();
    if let Some(tls) = tls.clone() {
        metrics.add_tls(move || TlsFigures {
            expires_at: tls.not_after().as_second(),
            failed: tls.failed(),
        });
    }
    let metrics = Arc::new(metrics);
    let parts = usecases::UseCaseDependencies {
        telephony: Arc::new(telephony),
        crm,
        store: store.clone(),
        clock,
        random: Arc::new(SystemRandom),
        metrics: metrics.clone(),
        tasks: lifecycle.tasks(),
        stopping: lifecycle.stopping(),
    };
    let usecases = UseCases::new(parts, settings);
    let resumed = usecases.resume().await?;
    if resumed > 0 {
        tracing::info!(resumed, "resumed {resumed} unfinished supervisions");
    }
    let (watched, stopping, readiness) = (store.clone(), lifecycle.stopping(), lifecycle.clone());
    lifecycle.run("store", async move {
        let report = |fault: Option<StoreFault>| readiness.set("store", fault.map_or(Ok(()), |f| Err(f.to_string())));
        watched.watch(stopping, report).await;
    });
    lifecycle.run("reconciling", usecases.polling.clone().dispatch_until_stopped());
    if config.salesforce.is_some() {
        lifecycle.run("delivery", usecases.salesforce_sync.clone().deliver_until_stopped());
    }
    if announces {
        lifecycle.run("announcing", usecases.directives.clone().announce_until_stopped());
    }
    if compares {
        lifecycle.run("comparing", usecases.salesforce_sync.clone().compare_until_stopped());
    }
    lifecycle.run("learning names", usecases.names.clone().learn_until_stopped());
    lifecycle.run("auditing", usecases.auditing.clone().audit_until_stopped());
    lifecycle.run("sweeping", usecases.polling.clone().sweep_until_stopped());
    lifecycle.run(
        "checking completeness",
        usecases.polling.clone().find_missed_legs_until_stopped(),
    );
    lifecycle.run("calibrating", (*usecases.clocks).clone().calibrate_until_stopped(dates));
    lifecycle.run(
        "recalibrating",
        usecases.recalibrator.clone().recalibrate_until_stopped(),
    );

    if let Some(tls) = tls.clone() {
        lifecycle.run("watching the certificate", tls.watch(lifecycle.stopping()));
    }

    let address = listener.local_addr()?;
    let readiness = Arc::new(lifecycle.clone());
    let exposition = Arc::new(move |standing: &ServiceCounts, here: &HttpFigures| exposition(&metrics, standing, here));
    let connections = Arc::new(Connections::new(config.http.connections));
    let router = http::router(
        usecases,
        credentials,
        readiness,
        exposition,
        connections.clone(),
        config.http.router,
    );
    let scheme = if tls.is_some() { "https" } else { "http" };
    let listener = Listener {
        tcp: listener,
        tls,
        trusted_proxies: transport.trusted_proxies,
    };
    let serving = http::serve(
        listener,
        router,
        connections,
        config.http.patience,
        lifecycle.stopping(),
    );
    lifecycle.run("serving", serving);
    tracing::info!(%address, "listening on {scheme}://{address}");
    Ok(App {
        lifecycle,
        address,
        store,
        drain: config.http.drain,
    })
}

impl App {
    /// Waits for the graceful stop and for running tasks, then closes the store. `hurry` ends the wait early.
    pub async fn stopped(self, hurry: impl Future<Output = ()>) -> Stopped {
        let stopped = self.lifecycle.stopped(self.drain, hurry).await;
        // Every accepted write is on disk already; closing only merges the write-ahead log into the database.
        if tokio::time::timeout(Duration::from_secs(2), self.store.close())
            .await
            .is_err()
        {
            tracing::warn!("timeout closing the store; the next start recovers its write-ahead log");
        }
        stopped
    }
}

fn exposition(metrics: &Metrics, standing: &ServiceCounts, here: &HttpFigures) -> String {
    let active: Vec<_> = standing.active.iter().map(|(s, n)| (s.as_str(), *n)).collect();
    let rows: Vec<_> = standing.rows.iter().map(|(s, n)| (s.as_str(), *n)).collect();
    let used = here.keys_used.iter().map(|k| (k.caller.as_str(), k.which, k.last_used));
    metrics.exposition(&Now {
        active: &active,
        overdue: standing.overdue,
        rows: &rows,
        streams: standing.streams,
        paused: standing.paused,
        api_share: standing.api_share,
        keys_used: &used.collect::<Vec<_>>(),
        unauthorized: &here.unauthorized,
        rate_limited: &here.rate_limited,
        connections: here.connections,
        connections_refused: here.connections_refused,
        panics: crate::telemetry::panics(),
    })
}
