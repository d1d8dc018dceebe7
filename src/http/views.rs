//! Response types that several operations share.

pub(crate) mod directive;
pub(crate) mod supervision;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// RFC 3339 UTC, always with milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rfc3339(Timestamp);

impl Rfc3339 {
    pub(crate) fn of(t: Timestamp) -> Self {
        Self(t)
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0.strftime("%Y-%m-%dT%H:%M:%S.%3fZ"))
    }
}
