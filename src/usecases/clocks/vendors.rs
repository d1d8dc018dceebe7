//! Reports the calibration of the vendors' clocks, and probes them on request.

use std::time::Duration;

use clock_calibration::{Cause, ClockId, Grade, Sample};
use jiff::Timestamp;
use sidedoor_domain::audit::{AuditAction, Phase};
use sidedoor_domain::authority::Scope;
use sidedoor_domain::ids::InstanceName;
use sidedoor_domain::moment::moment;
use sidedoor_domain::ports::store::{ClockEpoch, KeyWrite};
use sidedoor_domain::ports::{CommitOutcome, Operation, Transaction, VendorError, VendorErrorCode, Verdict};
use sidedoor_domain::supervision::AMAZON_CONNECT;

use crate::usecases::RequestContext;
use crate::usecases::clocks::{ClockError, ClockService};
use crate::usecases::error::UseCaseError;
use crate::usecases::idempotency::KeyReplay;

/// The most probes in one request, because each may wait a second for its moment.
pub const MAX_PROBES: u32 = 6;
/// No probe is started after this long, so that the answer is in time.
const PROBE_BUDGET: Duration = Duration::from_secs(5);
/// How many of a clock's last samples are reported.
const SHOWN_SAMPLES: usize = 10;

/// The calibration of one clock.
#[derive(Debug, Clone)]
pub struct ClockReport {
    /// The clock.
    pub stream: ClockId,
    /// How precise its readings are.
    pub grade: Grade,
    /// The number of its epoch.
    pub version: u32,
    /// The least and the greatest possible offset now and the point estimate, in ms; `None` until there are enough samples.
    pub offset_ms: Option<(f64, f64, f64)>,
    /// Its least and greatest possible drift against our clock, in ppm; `None` until there are enough samples.
    pub drift_ppm: Option<(f64, f64)>,
    /// Whether a step is suspected but not confirmed.
    pub suspect: bool,
    /// The resolution of its stamps in ms, if known.
    pub quantum_ms: Option<i64>,
    /// Whether its stamps are truncated or rounded to that resolution, if known.
    pub cutting: Option<&'static str>,
    /// The number of samples in its window.
    pub samples: usize,
    /// How many of them contradict the rest.
    pub outliers: usize,
    /// The epochs after the first one, oldest first.
    pub epochs: Vec<ClockEpoch>,
    /// The last samples, newest first.
    pub last: Vec<Sample>,
}

/// The calibration of one vendor.
#[derive(Debug, Clone)]
pub struct VendorReport {
    /// The vendor's name.
    pub vendor: String,
    /// The vendor's clocks, by name.
    pub clocks: Vec<ClockReport>,
}

/// A sample that the caller measured.
#[derive(Debug, Clone)]
pub struct MeasuredSample {
    /// The vendor's interface that the stamp comes from.
    pub source: String,
    /// The field of `source` with the stamp.
    pub field: String,
    /// Our clock before the stamp was read. The caller must use the clock of this machine.
    pub sent_at: Timestamp,
    /// Our clock after the stamp was read.
    pub received_at: Timestamp,
    /// The stamp.
    pub stamp: Timestamp,
}

/// A request to probe a vendor's clock.
#[derive(Debug, Clone)]
pub enum ProbeRequest {
    /// Request a `Date` this many times.
    Ask(u32),
    /// Use the samples that the caller measured.
    Take(Vec<MeasuredSample>),
}

/// The answer to a request to probe.
#[derive(Debug, Clone)]
pub enum ProbeOutcome {
    /// The calibration after the probe.
    Known(VendorReport),
    /// The key was used before.
    Replay(KeyReplay),
}

impl ClockService {
    /// The calibration of every vendor's clocks.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], and the store's.
    pub async fn vendors(&self, request: &RequestContext) -> Result<Vec<VendorReport>, ClockError> {
        check_may_read(request)?;
        let epochs = self.ctx.store().clock_epochs().await?;
        Ok(self.vendor_names().map(|vendor| self.report(vendor, &epochs)).collect())
    }

    /// The calibration of one vendor's clocks.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], [`UseCaseError::VendorNotFound`], and the store's.
    pub async fn vendor(&self, vendor: &str, request: &RequestContext) -> Result<VendorReport, ClockError> {
        check_may_read(request)?;
        self.check_vendor_exists(vendor)?;
        Ok(self.report(vendor, &self.ctx.store().clock_epochs().await?))
    }

    /// Probes a vendor's clock and reports its calibration after that.
    ///
    /// # Errors
    /// [`UseCaseError::Forbidden`], [`UseCaseError::VendorNotFound`], [`UseCaseError::InstanceNotFound`], and
    /// [`ClockError::Vendor`] when the vendor gave no time; those of idempotency keys, and the store's.
    pub async fn probe_vendor(
        &self,
        vendor: &str,
        instance: Option<InstanceName>,
        probe: ProbeRequest,
        request: &RequestContext,
    ) -> Result<ProbeOutcome, ClockError> {
        if !request.caller.has(Scope::Operate) {
            return Err(UseCaseError::Forbidden("probing needs the scope operate").into());
        }
        self.check_vendor_exists(vendor)?;
        let instance = instance
            .clone()
            .or_else(|| self.ctx.settings.default_instance.clone())
            .filter(|name| self.has_clocks(vendor, name))
            .ok_or_else(|| self.ctx.instance_not_found(instance.as_ref()))?;
        if matches!(probe, ProbeRequest::Ask(_)) && vendor != AMAZON_CONNECT {
            return Err(UseCaseError::Forbidden(
                "only Amazon Connect can be probed; send measured samples for a carrier",
            )
            .into());
        }
        if let Some(replay) = self.idempotency.replay(request).await? {
            return Ok(ProbeOutcome::Replay(replay));
        }
        let to_do = match &probe {
            ProbeRequest::Take(measured) => format!("{vendor}/{instance}: {} measured samples", measured.len()),
            ProbeRequest::Ask(count) => format!("{vendor}/{instance}: to be asked {count} times"),
        };
        // Written before the probe, so that every sample has an audit entry even if the process stops.
        let operation = format!("probe/{}", self.ctx.new_id());
        let line = |phase, outcome: String| {
            let entry = self.ctx.audit_of(request, AuditAction::VendorProbed, outcome);
            entry.in_phase(phase, operation.clone())
        };
        let ahead = Transaction {
            key: request.key.clone().map(|key| KeyWrite::Take(key, None, self.ctx.now())),
            audit: vec![line(Phase::Begun, to_do.clone())],
            ..Transaction::default()
        };
        if let CommitOutcome::KeyUsed(record) = self.ctx.transact(ahead).await? {
            return Ok(ProbeOutcome::Replay(self.idempotency.replay_of(request, record).await?));
        }
        let (phase, outcome, done) = match probe {
            ProbeRequest::Take(measured) => {
                for m in measured {
                    let key = ClockId::new(vendor, instance.as_str(), &m.source, &m.field);
                    let sample = Sample {
                        not_before: Some(moment(m.sent_at)),
                        asked: None,
                        not_after: moment(m.received_at),
                        stamp: moment(m.stamp),
                        cause: Cause::Spontaneous,
                    };
                    self.learn_alone(&key, sample);
                }
                (Phase::Done, to_do, Ok(()))
            }
            ProbeRequest::Ask(count) => {
                let (given, done) = self.ask_dates(&instance, count, request).await;
                let told = format!("{vendor}/{instance}: gave its time {given} times of {count}");
                match &done {
                    Ok(()) => (Phase::Done, told, done),
                    Err(e) => (Phase::Failed, format!("{told}, then {}", e.code), done),
                }
            }
        };
        // The samples are queued before this commit, so its completion means that they are durable too.
        self.ctx
            .transact(Transaction {
                audit: vec![line(phase, outcome)],
                ..Transaction::default()
            })
            .await?;
        done.map_err(ClockError::Vendor)?;
        let report = self.report(vendor, &self.ctx.store().clock_epochs().await?);
        Ok(ProbeOutcome::Known(report))
    }

    /// Requests a `Date` `count` times, as far as the answer can wait. Returns how often it succeeded. A timeout after at least
    /// one success is not an error.
    async fn ask_dates(
        &self,
        instance: &InstanceName,
        count: u32,
        request: &RequestContext,
    ) -> (u32, Result<(), VendorError>) {
        let mut given = 0;
        for _ in 0..count.clamp(1, MAX_PROBES) {
            match tokio::time::timeout(self.ctx.time_left(request), self.probe(instance)).await {
                Ok(Ok(_)) => given += 1,
                Ok(Err(e)) => return (given, Err(e)),
                Err(_) if given > 0 => break,
                Err(_) => {
                    let late = VendorError {
                        operation: Operation::Date,
                        code: VendorErrorCode::DateUnavailable,
                        message: "the endpoint did not answer in time".into(),
                        operator_note: None,
                        verdict: Verdict::Retry,
                        may_have_happened: false,
                    };
                    return (given, Err(late));
                }
            }
            if request.arrived.elapsed() > PROBE_BUDGET {
                break;
            }
        }
        (given, Ok(()))
    }

    /// Whether a vendor may have clocks in an instance: the instance is configured, or the vendor's events named it. Otherwise
    /// it is rejected, because samples of an unknown instance would be kept forever.
    fn has_clocks(&self, vendor: &str, instance: &InstanceName) -> bool {
        let has_events = || {
            let calibrator = self.state.calibrator();
            let mut streams = calibrator.clocks();
            streams.any(|(key, _)| key.vendor == vendor && key.instance == instance.as_str())
        };
        self.ctx.instance(instance).is_some() || (vendor != AMAZON_CONNECT && has_events())
    }

    /// Amazon Connect and the configured carriers.
    fn vendor_names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(AMAZON_CONNECT).chain(self.ctx.carriers())
    }

    fn check_vendor_exists(&self, vendor: &str) -> Result<(), ClockError> {
        if self.vendor_names().any(|known| known == vendor) {
            Ok(())
        } else {
            Err(UseCaseError::vendor_not_found(vendor, self.vendor_names()).into())
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
                last: clock.samples().rev().take(SHOWN_SAMPLES).map(|(s, _)| s).collect(),
            }
        });
        VendorReport {
            vendor: vendor.to_owned(),
            clocks: clocks.collect(),
        }
    }
}

fn check_may_read(request: &RequestContext) -> Result<(), ClockError> {
    if request.caller.sees_all() {
        Ok(())
    } else {
        Err(UseCaseError::Forbidden("this credential may not read about clocks").into())
    }
}
