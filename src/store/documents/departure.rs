//! The document of a departure, which is part of the document of a supervision.

use clock_calibration::{ClockId, Grade};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sidedoor_domain::confirmation::Confirmation;
use sidedoor_domain::departure::{AgentAfter, AliveBy, Basis, ClockBasis, Continuity, Departure, Reason, StampBasis};
use sidedoor_domain::evidence::Source;

/// Earlier versions concluded a departure from one piece of evidence. What confirmed it was not stored.
fn asked() -> Confirmation {
    Confirmation::None
}

/// [`Departure`], version 1.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DepartureDocument {
    disconnected_at: Timestamp,
    uncertainty_ms: Option<i64>,
    earliest: Option<Timestamp>,
    latest: Timestamp,
    vendor_timestamp: Option<Timestamp>,
    source: Source,
    #[serde(default = "asked")]
    confirmation: Confirmation,
    reason: Reason,
    continuity: Continuity,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agent_after: Option<AgentAfterDocument>,
    grade: Grade,
    offset_ms: Option<i64>,
    calibration_version: u32,
    conflicting: bool,
    #[serde(default)]
    basis: BasisDocument,
}

#[derive(Debug, Serialize, Deserialize)]
struct AgentAfterDocument {
    state: String,
    looks_wrong: bool,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct BasisDocument {
    alive_at: Option<Timestamp>,
    alive_by: Option<AliveBy>,
    gone_by: Option<Timestamp>,
    modelled: Option<(Timestamp, Timestamp)>,
    stamps: Vec<StampBasisDocument>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StampBasisDocument {
    /// The clock, as `vendor/instance/source/field`.
    #[serde(with = "clock_id_as_text")]
    stream: ClockId,
    at: Timestamp,
    learnt_at: Timestamp,
    /// Granularity, least and greatest offset, all in ms, and the clock's epoch.
    clock: Option<(i64, i64, i64, u32)>,
}

mod clock_id_as_text {
    use clock_calibration::ClockId;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &ClockId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ClockId, D::Error> {
        let text = String::deserialize(from)?;
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            [vendor, instance, source, field] => Ok(ClockId::new(vendor, instance, source, field)),
            _ => Err(D::Error::custom("not a clock's id")),
        }
    }
}

impl From<Departure> for DepartureDocument {
    fn from(from: Departure) -> Self {
        Self {
            disconnected_at: from.disconnected_at,
            uncertainty_ms: from.uncertainty_ms,
            earliest: from.earliest,
            latest: from.latest,
            vendor_timestamp: from.vendor_timestamp,
            source: from.source,
            confirmation: from.confirmation,
            reason: from.reason,
            continuity: from.continuity,
            agent_after: from.agent_after.map(Into::into),
            grade: from.grade,
            offset_ms: from.offset_ms,
            calibration_version: from.calibration_version,
            conflicting: from.conflicting,
            basis: from.basis.into(),
        }
    }
}

impl From<DepartureDocument> for Departure {
    fn from(from: DepartureDocument) -> Self {
        Self {
            disconnected_at: from.disconnected_at,
            uncertainty_ms: from.uncertainty_ms,
            earliest: from.earliest,
            latest: from.latest,
            vendor_timestamp: from.vendor_timestamp,
            source: from.source,
            confirmation: from.confirmation,
            reason: from.reason,
            continuity: from.continuity,
            agent_after: from.agent_after.map(Into::into),
            grade: from.grade,
            offset_ms: from.offset_ms,
            calibration_version: from.calibration_version,
            conflicting: from.conflicting,
            basis: from.basis.into(),
        }
    }
}

impl From<AgentAfter> for AgentAfterDocument {
    fn from(from: AgentAfter) -> Self {
        Self {
            state: from.state,
            looks_wrong: from.looks_wrong,
        }
    }
}

impl From<AgentAfterDocument> for AgentAfter {
    fn from(from: AgentAfterDocument) -> Self {
        Self {
            state: from.state,
            looks_wrong: from.looks_wrong,
        }
    }
}

impl From<Basis> for BasisDocument {
    fn from(from: Basis) -> Self {
        Self {
            alive_at: from.alive_at,
            alive_by: from.alive_by,
            gone_by: from.gone_by,
            modelled: from.modelled,
            stamps: from.stamps.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<BasisDocument> for Basis {
    fn from(from: BasisDocument) -> Self {
        Self {
            alive_at: from.alive_at,
            alive_by: from.alive_by,
            gone_by: from.gone_by,
            modelled: from.modelled,
            stamps: from.stamps.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<StampBasis> for StampBasisDocument {
    fn from(from: StampBasis) -> Self {
        let clock = from
            .clock
            .map(|c| (c.quantum_ms, c.offset_low_ms, c.offset_high_ms, c.epoch));
        Self {
            stream: from.clock_id,
            at: from.at,
            learnt_at: from.learnt_at,
            clock,
        }
    }
}

impl From<StampBasisDocument> for StampBasis {
    fn from(from: StampBasisDocument) -> Self {
        let clock = from
            .clock
            .map(|(quantum_ms, offset_low_ms, offset_high_ms, epoch)| ClockBasis {
                quantum_ms,
                offset_low_ms,
                offset_high_ms,
                epoch,
            });
        Self {
            clock_id: from.stream,
            at: from.at,
            learnt_at: from.learnt_at,
            clock,
        }
    }
}
