//! The composition root: builds the app from the configuration, and runs it until it is stopped. The only room that
//! knows all the others. The listener is injected, so that tests and the demo take any free port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::clock::SystemClock;
use crate::config::{
    Config, CuttingConfig, IssuerConfig, IssuerKeysConfig, LegEndConfig, RateConfig, RetentionConfig, TimingConfig,
    VendorTimingConfig,
};
use crate::connect::AmazonConnect;
use crate::http::{self, ApiKey, Connections, Credentials, HttpFigures, IssuerSettings, KeysFrom};
use crate::lifecycle::{Lifecycle, Stopped};
use crate::salesforce::Salesforce;
use crate::store::sqlite::{OpenError, SqliteStore};
use crate::telemetry::metrics::{Metrics, Now};
use crate::usecases::reports::supervisions::Standing;
use crate::usecases::{self, DeliverySettings, Intervals, Keep, LegEnd, UseCases};
use clock_calibration::{Cutting, Limits, Thresholds, VendorSettings};
use sidedoor_domain::authority::Caller;
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
    pub pace: Intervals,
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
    let credentials = credentials(&config)?;
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
    let metrics = Arc::new(Metrics::default());
    let parts = usecases::Parts {
        telephony: Arc::new(telephony),
        crm,
        store: store.clone(),
        clock,
        metrics: metrics.clone(),
        tasks: lifecycle.tasks(),
        stopping: lifecycle.stopping(),
    };
    let usecases = UseCases::new(parts, flow_settings(&config, overrides.pace));
    let resumed = usecases.resume().await?;
    if resumed > 0 {
        tracing::info!(resumed, "took up {resumed} unfinished supervisions");
    }
    lifecycle.run("reconciling", usecases.polling.clone().reconcile_until_stopped());
    if config.salesforce.is_some() {
        lifecycle.run("delivery", usecases.salesforce_sync.clone().deliver_until_stopped());
    }
    if config.salesforce.as_ref().is_some_and(|s| s.directive_event.is_some()) {
        lifecycle.run("announcing", usecases.directives.clone().announce_until_stopped());
    }
    if config.salesforce.as_ref().is_some_and(|s| s.compare_participants) {
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
    let exposition = Arc::new(move |standing: &Standing, here: &HttpFigures| exposition(&metrics, standing, here));
    let connections = Arc::new(Connections::new(config.http.max_connections));
    let router = http::router(
        usecases,
        credentials,
        readiness,
        exposition,
        connections.clone(),
        door_settings(&config),
    );
    let patience = http::Patience {
        first_head: config.http.header_timeout,
        idle: config.http.idle_timeout,
    };
    let serving = http::serve(listener, router, connections, patience, lifecycle.stopping());
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

fn exposition(metrics: &Metrics, standing: &Standing, here: &HttpFigures) -> String {
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

fn door_settings(config: &Config) -> http::Settings {
    let rate = |rate: RateConfig| http::Rate {
        per_second: rate.per_second,
        burst: rate.burst,
    };
    let given = &config.http;
    http::Settings {
        max_body_bytes: given.max_body_bytes,
        max_header_bytes: given.max_header_bytes,
        max_in_flight: given.max_in_flight,
        rates: http::Rates {
            caller: rate(given.rate_per_caller),
            supervisor: rate(given.rate_per_supervisor),
            everybody: rate(given.rate),
            events: rate(given.rate_events),
            failures_per_minute: given.auth_failures_per_minute,
        },
        cors_allowed_origins: given.cors_allowed_origins.clone(),
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn flow_settings(config: &Config, pace: Intervals) -> usecases::Settings {
    let way = |configured: LegEndConfig| match configured {
        LegEndConfig::Ccp => LegEnd::Ccp,
        LegEndConfig::StopContactThenCcp => LegEnd::StopContactThenCcp,
    };
    let instances = config.connect.instances.iter().map(|(name, i)| {
        let instance = usecases::Instance {
            vendor_id: i.instance_id.clone(),
            voice_leg_end: way(i.voice_leg_end),
            chat_leg_end: way(i.chat_leg_end),
            jurisdiction: i.jurisdiction.clone(),
        };
        (name.clone(), instance)
    });
    let RetentionConfig {
        idempotency,
        evidence,
        supervisions,
    } = config.retention;
    usecases::Settings {
        instances: instances.collect(),
        default_instance: config.connect.default_instance.clone(),
        answer_within: config.http.answer_within,
        join_ttl: signed(config.supervision.join_ttl),
        leave_deadline: signed(config.supervision.leave_deadline),
        directive_ttl: signed(config.supervision.directive_ttl),
        idle_poll: signed(config.supervision.idle_poll),
        after_check_grace: signed(config.supervision.after_check_grace),
        poll_staleness: signed(config.supervision.poll_staleness),
        clock_error_ms: i64::try_from(config.clock.max_error.as_millis()).unwrap_or(i64::MAX),
        delivery: delivery_settings(config),
        announce: config.salesforce.as_ref().is_some_and(|s| s.directive_event.is_some()),
        compare: config.salesforce.as_ref().is_some_and(|s| s.compare_participants),
        keep: Keep {
            keys: signed(idempotency),
            evidence: signed(evidence),
            supervisions: signed(supervisions),
        },
        names_for: config.supervision.usernames,
        timing: timing_settings(&config.timing),
        policy: config.compliance.clone(),
        streams: config.http.max_streams,
        intervals: pace,
    }
}

fn delivery_settings(config: &Config) -> DeliverySettings {
    let org = config.salesforce.as_ref();
    DeliverySettings {
        longest_linger: org.map_or(Duration::ZERO, |s| s.longest_linger),
        slow_above: org.map_or(1.0, |s| s.slow_above),
        find_voice_calls: org.is_some_and(|s| s.find_voice_calls && !s.fields.voice_call.is_empty()),
    }
}

fn timing_settings(config: &TimingConfig) -> usecases::clocks::calibrate::Settings {
    let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    let vendor = |v: &VendorTimingConfig| VendorSettings {
        limits: Limits {
            max_drift_ppm: f64::from(v.max_drift_ppm),
            model_error_ms: v.model_error.as_secs_f64() * 1000.0,
            wander_ppm_per_hour: f64::from(v.wander_ppm_per_hour),
            window: signed(v.window),
            quantum_ms: v.quantum.map(ms),
            ..Limits::default()
        },
        date_bound_ms: v.date_bound.map(|d| d.as_secs_f64() * 1000.0),
        cutting: match v.cutting {
            CuttingConfig::Learn => None,
            CuttingConfig::Truncated => Some(Cutting::Truncated),
            CuttingConfig::Rounded => Some(Cutting::Rounded),
        },
    };
    usecases::clocks::calibrate::Settings {
        vendors: config
            .vendors
            .iter()
            .map(|(name, v)| (name.clone(), vendor(v)))
            .collect(),
        thresholds: Thresholds {
            calibrated_ms: ms(config.calibrated),
            exact_ms: ms(config.exact),
            ..Thresholds::default()
        },
        probe_every: Some(config.probe_every).filter(|d| !d.is_zero()),
    }
}

fn credentials(config: &Config) -> Result<Credentials, http::BadKeyFile> {
    let key = |k: &crate::config::ApiKeyConfig| ApiKey {
        sha256: k.sha256,
        previous_sha256: k.previous_sha256,
        caller: Caller::new(k.name.as_str(), k.scopes.clone()).naming(k.supervisor.clone()),
    };
    let issuer = |i: &IssuerConfig| IssuerSettings {
        issuer: i.issuer.clone(),
        audience: i.audience.clone(),
        keys: match &i.keys {
            IssuerKeysConfig::Url { url, refresh, cooldown } => KeysFrom::Url {
                url: url.clone(),
                refresh: *refresh,
                cooldown: *cooldown,
            },
            IssuerKeysConfig::File(path) => KeysFrom::File(path.clone()),
        },
        supervisor_claim: i.supervisor_claim.clone(),
        supervisor_claim_kind: i.supervisor_claim_kind,
        instance: i.instance.clone(),
        scopes: i.scopes.clone(),
        algorithms: i.algorithms.clone(),
        leeway: i.leeway,
    };
    let keys = config.auth.api_keys.iter().map(key).collect();
    Credentials::new(keys, config.auth.issuers.iter().map(issuer).collect())
}
