//! Asking what is known of the vendors' clocks, and probing them.

use crate::usecases::clocks::ClockError;
use crate::usecases::error::UseCaseError;
use std::time::Duration;

use jiff::Timestamp;

use crate::usecases::Request;
use crate::usecases::clocks::ClockService;
use crate::usecases::idempotency::Replay;
pub use clock_calibration::{Cause, ClockId, Grade, Sample};
use sidedoor_domain::audit::AuditAction;
use sidedoor_domain::audit::{AuditEntry, Phase};
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::moment::moment;
pub use sidedoor_domain::ports::store::ClockEpoch;
use sidedoor_domain::ports::store::KeyWrite;
use sidedoor_domain::ports::{CommitOutcome, Operation, Transaction, VendorError, VendorErrorCode, Verdict};
use sidedoor_domain::supervision::AMAZON_CONNECT;

/// At most so many probes in one request: each may wait a second for its moment.
pub const MOST_PROBES: u32 = 6;
/// After this long no further probe is begun: the answer must come in time.
const ENOUGH: Duration = Duration::from_secs(5);
/// So many of a clock's last samples are shown.
const LAST: usize = 10;

/// What is known of one clock.
#[derive(Debug, Clone)]
pub struct ClockReport {
    /// Which.
    pub stream: ClockId,
    /// How far it may be trusted.
    pub grade: Grade,
    /// Its epoch.
    pub version: u32,
    /// The guaranteed interval of its offset now, and the likeliest value, ms; `None` until enough is known.
    pub offset_ms: Option<(f64, f64, f64)>,
    /// Its drift against ours, ppm: least and greatest; `None` until enough is known.
    pub drift_ppm: Option<(f64, f64)>,
    /// A step is suspected and not decided.
    pub suspect: bool,
    /// To what its stamps are cut, ms, if known.
    pub quantum_ms: Option<i64>,
    /// How they are cut, if known.
    pub cutting: Option<&'static str>,
    /// Samples in its window.
    pub samples: usize,
    /// Of which so many do not agree with the rest.
    pub outliers: usize,
    /// The epochs after the first, oldest first.
    pub epochs: Vec<ClockEpoch>,
    /// The last samples, latest first.
    pub last: Vec<Sample>,
}

/// One vendor.
#[derive(Debug, Clone)]
pub struct VendorReport {
    /// Its name.
    pub vendor: String,
    /// Its clocks, by name.
    pub clocks: Vec<ClockReport>,
}

/// A sample that a caller measured.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Which clock and field of the vendor.
    pub source: String,
    /// See `source`.
    pub field: String,
    /// Our clock before it was read. The caller's clock must be ours.
    pub sent_at: Timestamp,
    /// Our clock after.
    pub received_at: Timestamp,
    /// What it read.
    pub stamp: Timestamp,
}

/// What is to be probed.
#[derive(Debug, Clone)]
pub enum Probe {
    /// Ask so many times for a `Date`.
    Ask(u32),
    /// Take what the caller measured.
    Take(Vec<Measured>),
}

/// What came of probing.
#[derive(Debug, Clone)]
pub enum Probed {
    /// What is known now.
    Known(VendorReport),
    /// The key was used before.
    Replay(Replay),
}

impl ClockService {
    /// Every vendor and what is known of its clocks.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], and the store's.
    pub async fn vendors(&self, by: &Request) -> Result<Vec<VendorReport>, ClockError> {
        may_read(by)?;
        let mut names: Vec<&str> = vec![AMAZON_CONNECT];
        names.extend(
            self.ctx
                .settings
                .timing
                .vendors
                .keys()
                .map(String::as_str)
                .filter(|v| *v != AMAZON_CONNECT),
        );
        let epochs = self.ctx.store().clock_epochs().await?;
        Ok(names.into_iter().map(|vendor| self.report(vendor, &epochs)).collect())
    }

    /// What is known of one vendor's clocks.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], [`UseCaseError::VendorNotFound`], and the store's.
    pub async fn vendor(&self, vendor: &str, by: &Request) -> Result<VendorReport, ClockError> {
        may_read(by)?;
        self.known(vendor)?;
        Ok(self.report(vendor, &self.ctx.store().clock_epochs().await?))
    }

    /// Probes a vendor's clock, and says what is known then.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], [`UseCaseError::VendorNotFound`], [`UseCaseError::InstanceNotFound`], and
    /// [`ClockError::Vendor`] when it gave no time; those of keys, and the store's.
    pub async fn probe_vendor(
        &self,
        vendor: &str,
        instance: Option<InstanceName>,
        probe: Probe,
        by: &Request,
    ) -> Result<Probed, ClockError> {
        if !by.caller.has(Scope::Operate) {
            return Err(UseCaseError::Forbidden("probing needs the scope operate").into());
        }
        self.known(vendor)?;
        let instance = instance
            .or_else(|| self.ctx.settings.default_instance.clone())
            .filter(|name| self.has_clocks(vendor, name))
            .ok_or(UseCaseError::InstanceNotFound)?;
        if matches!(probe, Probe::Ask(_)) && vendor != AMAZON_CONNECT {
            return Err(UseCaseError::Forbidden(
                "only Amazon Connect can be asked; send measured samples of a carrier",
            )
            .into());
        }
        if let Some(replay) = self.idempotency.replay(by).await? {
            return Ok(Probed::Replay(replay));
        }
        let to_do = match &probe {
            Probe::Take(measured) => format!("{vendor}/{instance}: {} measured samples", measured.len()),
            Probe::Ask(count) => format!("{vendor}/{instance}: to be asked {count} times"),
        };
        // Written ahead: what the clock learns has its line whatever becomes of the rest.
        let operation = format!("probe/{}", uuid::Uuid::now_v7());
        let line = |phase, outcome| AuditEntry {
            request_id: by.request_id.clone(),
            ..AuditEntry::done(
                self.ctx.now(),
                by.caller.name.clone(),
                AuditAction::VendorProbed,
                outcome,
            )
            .in_phase(phase, operation.clone())
        };
        let ahead = Transaction {
            key: by.key.clone().map(|key| KeyWrite::Take(key, None, self.ctx.now())),
            audit: vec![line(Phase::Begun, to_do.clone())],
            ..Transaction::default()
        };
        if let CommitOutcome::KeyUsed(record) = self.ctx.store().transact(ahead).await? {
            return Ok(Probed::Replay(self.idempotency.replay_of(by, record).await?));
        }
        let (phase, outcome, done) = match probe {
            Probe::Take(measured) => {
                for m in measured {
                    let key = ClockId::new(vendor, instance.as_str(), &m.source, &m.field);
                    let sample = Sample {
                        not_before: Some(moment(m.sent_at)),
                        not_after: moment(m.received_at),
                        stamp: moment(m.stamp),
                        cause: Cause::Spontaneous,
                    };
                    self.learn_alone(&key, sample);
                }
                (Phase::Done, to_do, Ok(()))
            }
            Probe::Ask(count) => {
                let (given, done) = self.ask_the_time(&instance, count, by).await;
                let told = format!("{vendor}/{instance}: gave its time {given} times of {count}");
                match &done {
                    Ok(()) => (Phase::Done, told, done),
                    Err(e) => (Phase::Failed, format!("{told}, then {}", e.code), done),
                }
            }
        };
        // The samples were handed in before: in its turn this makes them durable too.
        self.ctx
            .store()
            .transact(Transaction {
                audit: vec![line(phase, outcome)],
                ..Transaction::default()
            })
            .await?;
        done.map_err(ClockError::Vendor)?;
        let report = self.report(vendor, &self.ctx.store().clock_epochs().await?);
        Ok(Probed::Known(report))
    }

    /// Asks an instance for its time so often, as far as the answer may wait for it. How often it gave it; one that gave it at
    /// least once, and then took too long, has not failed.
    async fn ask_the_time(&self, instance: &InstanceName, count: u32, by: &Request) -> (u32, Result<(), VendorError>) {
        let mut given = 0;
        for _ in 0..count.clamp(1, MOST_PROBES) {
            match tokio::time::timeout(self.ctx.left(by), self.probe(instance)).await {
                Ok(Ok(_)) => given += 1,
                Ok(Err(e)) => return (given, Err(e)),
                Err(_) if given > 0 => break,
                Err(_) => {
                    let late = VendorError {
                        operation: Operation::Date,
                        code: VendorErrorCode::DateUnavailable,
                        message: "the endpoint did not answer in time".into(),
                        verdict: Verdict::Retry,
                        may_have_happened: false,
                    };
                    return (given, Err(late));
                }
            }
            if by.arrived.elapsed() > ENOUGH {
                break;
            }
        }
        (given, Ok(()))
    }

    /// Whether a vendor has clocks in an instance: it is configured, or its own events have told of it. One that nobody knows
    /// would be kept for ever.
    fn has_clocks(&self, vendor: &str, instance: &InstanceName) -> bool {
        let told = || {
            let calibrator = self.state.calibrator();
            let mut streams = calibrator.clocks();
            streams.any(|(key, _)| key.vendor == vendor && key.instance == instance.as_str())
        };
        self.ctx.instance(instance).is_some() || (vendor != AMAZON_CONNECT && told())
    }

    fn known(&self, vendor: &str) -> Result<(), ClockError> {
        if vendor == AMAZON_CONNECT || self.ctx.settings.timing.vendors.contains_key(vendor) {
            Ok(())
        } else {
            Err(UseCaseError::VendorNotFound.into())
        }
    }

    fn report(&self, vendor: &str, epochs: &[ClockEpoch]) -> VendorReport {
        let now = self.ctx.now();
        let calibrator = self.state.calibrator();
        let of_vendor = calibrator.clocks().filter(|(key, _)| key.vendor == vendor);
        let clocks = of_vendor.map(|(key, tracked)| {
            let clock = &tracked.series;
            let offset = clock.offset(moment(now));
            #[allow(clippy::cast_possible_truncation, reason = "an offset in ms")]
            let grade = offset.map_or(Grade::Uncalibrated, |o| {
                let half = ((o.guaranteed.1 - o.guaranteed.0) / 2.0).ceil() as i64;
                self.ctx
                    .settings
                    .timing
                    .thresholds
                    .grade(half, self.ctx.settings.clock_error_ms)
            });
            ClockReport {
                stream: key.clone(),
                grade,
                version: clock.version(),
                offset_ms: offset.map(|o| (o.guaranteed.0, o.guaranteed.1, o.best)),
                drift_ppm: offset.map(|_| clock.drift_ppm()),
                suspect: clock.suspects_step(),
                quantum_ms: if key.is_http_date() {
                    Some(1000)
                } else {
                    clock.granularity().typical_ms()
                },
                cutting: tracked.rounding.map(clock_calibration::Rounding::as_str),
                samples: clock.samples().len(),
                outliers: clock.outliers().len(),
                epochs: epochs.iter().filter(|e| e.stream == *key).cloned().collect(),
                last: clock.samples().rev().take(LAST).map(|(s, _)| s).collect(),
            }
        });
        VendorReport {
            vendor: vendor.to_owned(),
            clocks: clocks.collect(),
        }
    }
}

fn may_read(by: &Request) -> Result<(), ClockError> {
    if by.caller.sees_all() {
        Ok(())
    } else {
        Err(UseCaseError::Forbidden("this credential may not read about clocks").into())
    }
}
