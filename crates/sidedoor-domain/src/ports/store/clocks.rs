//! Samples and epochs of the vendors' clocks, in the store.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{ClockId, Sample, StoreError};

/// An epoch of a vendor's clock. A sample of an earlier epoch says nothing about it, because the clock was stepped in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockEpoch {
    /// The vendor's clock.
    pub stream: ClockId,
    /// Grows by one with every epoch. The first epoch is 1 and is not stored.
    pub version: u32,
    /// When its first sample came.
    pub since: Timestamp,
    /// When the last sample came that agreed with the epoch before. A departure computed in between may be wrong.
    pub corroborated: Timestamp,
    /// Whose clock was stepped.
    pub cause: EpochCause,
}

/// Whose clock was stepped when an epoch began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpochCause {
    /// The vendor's clock.
    VendorStep,
    /// This machine's clock.
    OwnStep,
}

impl EpochCause {
    /// The word in the API and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VendorStep => "VENDOR_STEP",
            Self::OwnStep => "OWN_STEP",
        }
    }

    /// The cause that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::VendorStep, Self::OwnStep]
            .into_iter()
            .find(|c| c.as_str() == word)
    }
}

/// Reads of the vendors' clocks. Every method fails with [`StoreError`] if the store cannot be read.
#[async_trait]
pub trait ClockStore: Send + Sync {
    /// The epochs of the vendor clocks, oldest first, at most the latest 10,000.
    async fn clock_epochs(&self) -> Result<Vec<ClockEpoch>, StoreError>;

    /// The samples of every vendor clock taken at or after `since`, oldest first; of each clock at most the latest `limit`.
    async fn clock_samples(&self, since: Timestamp, limit: u32) -> Result<Vec<(ClockId, Sample)>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epoch_cause_words_parse_back() {
        for (cause, word) in [
            (EpochCause::VendorStep, "VENDOR_STEP"),
            (EpochCause::OwnStep, "OWN_STEP"),
        ] {
            assert_eq!((cause.as_str(), EpochCause::parse(word)), (word, Some(cause)));
        }
        assert_eq!(EpochCause::parse(""), None);
    }
}
