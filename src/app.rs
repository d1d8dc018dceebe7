//! The composition root: builds the app from the configuration, and runs it until it is stopped. The only room that
//! knows all the others. The listener is injected, so that tests and the demo take any free port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::clock::SystemClock;
use crate::config::Config;
use crate::connect::AmazonConnect;
use crate::http::{self, Connections, Credentials, HttpFigures};
use crate::lifecycle::{Lifecycle, Stopped};
use crate::salesforce::Salesforce;
use crate::store::sqlite::{OpenError, SqliteStore};
use crate::telemetry::metrics::{Metrics, Now};
use crate::usecases::reports::supervisions::ServiceCounts;
use crate::usecases::{self, UseCaseIntervals, UseCases};
use sidedoor_domain::ports::{Clock, Crm, DateSink};

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Resuming what an earlier process left.
    #[error("cannot resume: {0}")]
    Resume(#[from] usecases::UseCaseError),
    /// No TLS client can be made.
    #[error("no TLS client can be made: {0}")]
    Tls(#[from] reqwest::Error),
    /// An issuer's key file.
    #[error(transparent)]
    Keys(#[from] http::BadKeyFile),
    /// The listener.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
}

/// What tests and the demo set and a configuration file cannot.
#[derive(Clone, Default)]
pub struct Overrides {
    /// AWS credentials other than the ordinary chain's: access key id and secret.
    pub credentials: Option<(String, SecretString)>,
    /// The usecases' own waits.
    pub pace: UseCaseIntervals,
    /// Another clock than the machine's.
    pub clock: Option<Arc<dyn Clock>>,
}

/// The service, running.
pub struct App {
    /// Its life: stop it, ask how it is.
    pub lifecycle: Lifecycle,
    /// Where it listens.
    pub address: SocketAddr,
    store: Arc<SqliteStore>,
    drain: Duration,
}

/// Builds everything, resumes what an earlier process left, and begins to serve.
///
/// # Errors
/// [`StartError`].
pub async fn start(config: Config, listener: TcpListener, overrides: Overrides) -> Result<App, StartError> {
    let lifecycle = Lifecycle::default();
    let credentials = Credentials::new(config.auth.api_keys, config.auth.issuers)?;
    let store = Arc::new(SqliteStore::open(&config.store.url).await?);
    let clock = overrides.clock.unwrap_or_else(|| Arc::new(SystemClock::start()));
    // A `Date` more or less is no loss: when the usecases are busy, some are dropped.
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
    let metrics = Arc::new(Metrics::default());
    let parts = usecases::UseCaseDependencies {
        telephony: Arc::new(telephony),
        crm,
        store: store.clone(),
        clock,
        metrics: metrics.clone(),
        tasks: lifecycle.tasks(),
        stopping: lifecycle.stopping(),
    };
    let usecases = UseCases::new(parts, settings);
    let resumed = usecases.resume().await?;
    if resumed > 0 {
        tracing::info!(resumed, "took up {resumed} unfinished supervisions");
    }
    lifecycle.run("reconciling", usecases.polling.clone().reconcile_until_stopped());
    if config.salesforce.is_some() {
        lifecycle.run("delivery", usecases.salesforce_sync.clone().deliver_until_stopped());
    }
    if announces {
        lifecycle.run("announcing", usecases.directives.clone().announce_until_stopped());
    }
    if compares {
        lifecycle.run("comparing", usecases.salesforce_sync.clone().compare_until_stopped());
    }
    lifecycle.run("sweeping", usecases.polling.clone().sweep_until_stopped());
    lifecycle.run("calibrating", usecases.clocks.clone().calibrate_until_stopped(dates));
    lifecycle.run(
        "recalibrating",
        usecases.recalibrator.clone().recalibrate_until_stopped(),
    );

    let address = listener.local_addr()?;
    let readiness = Arc::new(lifecycle.clone());
    let exposition = Arc::new(move |standing: &ServiceCounts, here: &HttpFigures| exposition(&metrics, standing, here));
    let connections = Arc::new(Connections::new(config.http.max_connections));
    let router = http::router(
        usecases,
        credentials,
        readiness,
        exposition,
        connections.clone(),
        config.http.router,
    );
    let serving = http::serve(
        listener,
        router,
        connections,
        config.http.patience,
        lifecycle.stopping(),
    );
    lifecycle.run("front door", serving);
    tracing::info!(%address, "listening on {address}");
    Ok(App {
        lifecycle,
        address,
        store,
        drain: config.http.drain,
    })
}

impl App {
    /// Waits for the soft stop and for what is under way, then closes the store. `hurry` cuts the waiting short.
    pub async fn stopped(self, hurry: impl Future<Output = ()>) -> Stopped {
        let stopped = self.lifecycle.stopped(self.drain, hurry).await;
        // What was accepted is on disk whether or not the drain was clean; closing folds the log into the database.
        if tokio::time::timeout(Duration::from_secs(2), self.store.close())
            .await
            .is_err()
        {
            tracing::warn!("the store did not close in time; the next start recovers its log");
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
