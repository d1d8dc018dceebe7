//! `/v1/supervisions`: a supervisor listens to a contact, changes their mode, and leaves.

pub(crate) mod acknowledge;
pub(crate) mod change_mode;
pub(crate) mod close;
pub(crate) mod disconnect;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod start;
pub(crate) mod timeline;

use sidedoor_domain::supervision::Mode;

use crate::http::problem::Problem;
use crate::usecases::monitoring::MonitoringError;

/// A mode that a caller may name.
pub(crate) enum RequestedMode {
    /// A mode of Amazon Connect.
    Available(Mode),
    /// A mode that Amazon Connect does not have, so that it gets an answer of its own.
    Whisper,
}

impl RequestedMode {
    pub(crate) fn parse(raw: &str) -> Result<Self, String> {
        match raw {
            "SILENT" => Ok(Self::Available(Mode::Silent)),
            "BARGE" => Ok(Self::Available(Mode::Barge)),
            "WHISPER" => Ok(Self::Whisper),
            _ => Err("must be SILENT, WHISPER or BARGE".into()),
        }
    }

    /// The mode, if Amazon Connect has it: `AllowedMonitorCapabilities` knows SILENT_MONITOR and BARGE.
    pub(crate) fn available(self) -> Result<Mode, Problem> {
        match self {
            Self::Available(mode) => Ok(mode),
            Self::Whisper => {
                let why = "Amazon Connect has no whisper capability; possible are SILENT and BARGE";
                Err(MonitoringError::ModeUnsupported(why).into())
            }
        }
    }
}
