//! The names of clocks.

use serde::{Deserialize, Serialize};

/// Which clock and which field a stamp was read from. Two fields of one vendor may lag differently, so each is its own
/// stream and they are never mixed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ClockId {
    /// The vendor, such as `amazon-connect`.
    pub vendor: String,
    /// Our name of the vendor's instance.
    pub instance: String,
    /// Where the stamp came from, such as `CONTACT_EVENT`.
    pub source: String,
    /// The field that carried it, such as `disconnected`.
    pub field: String,
}

impl ClockId {
    /// The source of HTTP `Date` headers: the clock of a vendor's API front end.
    pub const HTTP_DATE: &'static str = "HTTP_DATE";

    /// A stream's key.
    pub fn new(vendor: &str, instance: &str, source: &str, field: &str) -> Self {
        Self {
            vendor: vendor.into(),
            instance: instance.into(),
            source: source.into(),
            field: field.into(),
        }
    }

    /// The `Date` headers of a vendor's instance.
    pub fn http_date(vendor: &str, instance: &str) -> Self {
        Self::new(vendor, instance, Self::HTTP_DATE, "date")
    }

    /// Whether its stamps are HTTP `Date` headers.
    pub fn is_http_date(&self) -> bool {
        self.source == Self::HTTP_DATE
    }

    /// Whether `date` is the `Date` stream of this one's vendor and instance.
    pub(super) fn belongs_to(&self, date: &Self) -> bool {
        let same = self.vendor == date.vendor && self.instance == date.instance;
        same && date.is_http_date() && !self.is_http_date()
    }
}

impl std::fmt::Display for ClockId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{}", self.vendor, self.instance, self.source, self.field)
    }
}
