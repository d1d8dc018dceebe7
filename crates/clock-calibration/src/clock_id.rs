//! The identity of a clock.

/// Which clock and which field a stamp was read from. Two fields of one vendor may lag differently, so each counts as
/// a clock of its own and they are never mixed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClockId {
    /// The vendor, for example `amazon-connect`.
    pub vendor: String,
    /// Our name for the vendor's instance.
    pub instance: String,
    /// Where the stamp came from, for example `CONTACT_EVENT`.
    pub source: String,
    /// The field that carried it, for example `disconnected`.
    pub field: String,
}

impl ClockId {
    /// The source of HTTP `Date` headers, which are stamped by the clock of a vendor's API front end.
    pub const HTTP_DATE: &'static str = "HTTP_DATE";

    /// The id of a clock.
    pub fn new(vendor: &str, instance: &str, source: &str, field: &str) -> Self {
        Self {
            vendor: vendor.into(),
            instance: instance.into(),
            source: source.into(),
            field: field.into(),
        }
    }

    /// The same clock on one machine of the instance: a Region or a host. Use it where evidence names one, because one name
    /// for two clocks makes every bound wrong. The machine becomes part of the instance: `main@us-east-1`.
    #[must_use]
    pub fn on_machine(mut self, machine: &str) -> Self {
        self.instance = format!("{}@{machine}", self.instance);
        self
    }

    /// The clock of the `Date` headers of a vendor's instance.
    pub fn http_date(vendor: &str, instance: &str) -> Self {
        Self::new(vendor, instance, Self::HTTP_DATE, "date")
    }

    /// Whether the stamps are HTTP `Date` headers.
    pub fn is_http_date(&self) -> bool {
        self.source == Self::HTTP_DATE
    }

    /// Whether `date` is the `Date` clock of the same vendor and instance, and this one is not. The `Date`s of an instance
    /// belong to each of its machines.
    pub(super) fn belongs_to(&self, date: &Self) -> bool {
        let instance = self
            .instance
            .split_once('@')
            .map_or(&*self.instance, |(instance, _)| instance);
        let same = self.vendor == date.vendor && (instance == date.instance || self.instance == date.instance);
        same && date.is_http_date() && !self.is_http_date()
    }
}

impl std::fmt::Display for ClockId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}/{}", self.vendor, self.instance, self.source, self.field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_07_machines_have_clocks_of_their_own() {
        let clock = |machine| ClockId::new("v", "main", "CONTACT_EVENT", "disconnected").on_machine(machine);
        assert_ne!(clock("us-east-1"), clock("us-west-2"));
        assert!(clock("us-east-1").belongs_to(&ClockId::http_date("v", "main")));
        assert!(!clock("us-east-1").belongs_to(&ClockId::http_date("v", "other")));
    }
}
