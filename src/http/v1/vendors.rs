//! `/v1/vendors`: the calibration of the vendors' clocks.

pub(crate) mod calibration;
pub(crate) mod list;
pub(crate) mod probe;

use jiff::Timestamp;
use serde::Serialize;
use sidedoor_domain::moment::timestamp;

use crate::http::problem::Problem;
use crate::http::problem_code::ProblemCode;
use crate::http::views::Rfc3339;
use crate::usecases::clocks::vendors::{ClockReport, VendorReport};

/// The answer to a path whose vendor is not percent-encoded UTF-8, which no vendor's name can be.
pub(crate) fn undecodable_vendor() -> Problem {
    Problem::new(
        ProblemCode::VendorNotFound,
        "The vendor in the path is not percent-encoded UTF-8.",
    )
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VendorView {
    vendor: String,
    clocks: Vec<ClockView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClockView {
    instance: String,
    source: String,
    field: String,
    grade: &'static str,
    version: u32,
    offset_ms: Option<f64>,
    offset_low_ms: Option<f64>,
    offset_high_ms: Option<f64>,
    drift_low_ppm: Option<f64>,
    drift_high_ppm: Option<f64>,
    suspect: bool,
    quantum_ms: Option<i64>,
    cutting: Option<&'static str>,
    samples: usize,
    outliers: usize,
    epochs: Vec<EpochView>,
    last_samples: Vec<SampleView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EpochView {
    version: u32,
    since: Rfc3339,
    corroborated: Rfc3339,
    cause: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SampleView {
    not_before: Option<Rfc3339>,
    not_after: Rfc3339,
    vendor_timestamp: Rfc3339,
    cause: &'static str,
}

/// Rounded to three decimals, because further digits are rounding errors of the calculation.
fn short(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

impl VendorView {
    pub(crate) fn of(report: &VendorReport) -> Self {
        Self {
            vendor: report.vendor.clone(),
            clocks: report.clocks.iter().map(clock).collect(),
        }
    }
}

fn clock(c: &ClockReport) -> ClockView {
    let at = |t: Timestamp| Rfc3339::of(t);
    ClockView {
        instance: c.stream.instance.clone(),
        source: c.stream.source.clone(),
        field: c.stream.field.clone(),
        grade: c.grade.as_str(),
        version: c.version,
        offset_ms: c.offset_ms.map(|o| short(o.2)),
        offset_low_ms: c.offset_ms.map(|o| short(o.0)),
        offset_high_ms: c.offset_ms.map(|o| short(o.1)),
        drift_low_ppm: c.drift_ppm.map(|d| short(d.0)),
        drift_high_ppm: c.drift_ppm.map(|d| short(d.1)),
        suspect: c.suspect,
        quantum_ms: c.quantum_ms,
        cutting: c.cutting,
        samples: c.samples,
        outliers: c.outliers,
        epochs: c
            .epochs
            .iter()
            .map(|e| EpochView {
                version: e.version,
                since: at(e.since),
                corroborated: at(e.corroborated),
                cause: e.cause.as_str(),
            })
            .collect(),
        last_samples: c
            .last
            .iter()
            .map(|s| SampleView {
                not_before: s.not_before.map(|m| at(timestamp(m))),
                not_after: at(timestamp(s.not_after)),
                vendor_timestamp: at(timestamp(s.stamp)),
                cause: s.cause.as_str(),
            })
            .collect(),
    }
}
