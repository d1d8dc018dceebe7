//! Compares our clock with a vendor's `Date` header. Because the header has whole seconds and an exchange takes time, the
//! result is an interval; several exchanges narrow it.

use jiff::Timestamp;

use super::report::{Kind, Report};

/// The difference at which the check fails: AWS rejects signatures that are five minutes off, Salesforce assertions of more
/// than three.
const REFUSED_MS: i64 = 120_000;

/// The bounds of how far a vendor's clock is ahead of ours, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ahead {
    low: i64,
    high: i64,
}

impl Ahead {
    /// The bounds from one exchange. They allow for a header that is rounded down or to the nearest second.
    pub(super) fn of(sent_at: Timestamp, received_at: Timestamp, date: Timestamp) -> Self {
        let ms = Timestamp::as_millisecond;
        Self {
            low: ms(date) - 500 - ms(received_at),
            high: ms(date) + 1000 - ms(sent_at),
        }
    }

    /// The intersection of both bounds. If they exclude each other, a clock was set in between, so the later bounds count.
    pub(super) fn and(self, later: Self) -> Self {
        let both = Self {
            low: self.low.max(later.low),
            high: self.high.min(later.high),
        };
        if both.low <= both.high { both } else { later }
    }

    /// The smallest possible difference, ms.
    fn at_least(self) -> i64 {
        self.low.max(-self.high).max(0)
    }

    /// Adds the line: a warning if the difference surely exceeds `bearable_ms`.
    pub(super) fn report(self, report: &mut Report, kind: Kind, about: Option<&str>, bearable_ms: i64) {
        let seconds = |ms: i64| {
            format!(
                "{}{}.{:01}",
                if ms < 0 { "-" } else { "" },
                ms.abs() / 1000,
                ms.abs() % 1000 / 100
            )
        };
        let detail = format!(
            "the vendor's clock minus this machine's clock is {} to {} s",
            seconds(self.low),
            seconds(self.high)
        );
        let remedy = "Run chrony or systemd-timesyncd on this machine (on EC2, use the Amazon Time Sync Service)";
        match self.at_least() {
            off if off >= REFUSED_MS => {
                report.fail(
                    kind,
                    about,
                    format!("{detail}: the vendor rejects our signatures, or will do so soon"),
                    remedy,
                );
            }
            off if off > bearable_ms => report.warn(kind, about, detail, remedy),
            _ => report.ok(kind, about, detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).expect("a time")
    }

    #[test]
    fn skew_interval_narrows_and_contains_true_offset() {
        // The vendor's clock is 1,370 ms ahead and rounds down to seconds; there are four exchanges of 40 ms.
        let mut known: Option<Ahead> = None;
        for sent in [10_100, 10_420, 10_740, 11_060] {
            let date = (sent + 20 + 1370) / 1000 * 1000;
            let one = Ahead::of(at(sent), at(sent + 40), at(date));
            assert!(one.low <= 1370 && 1370 <= one.high, "{one:?}");
            known = Some(known.map_or(one, |k| k.and(one)));
        }
        let known = known.expect("asked");
        assert!(known.high - known.low < 1540, "{known:?}");
    }

    #[test]
    fn skew_warns_only_if_clock_is_surely_off() {
        let mut report = Report::default();
        let kind = super::super::report::CLOCK_AWS;
        Ahead { low: -700, high: 900 }.report(&mut report, kind, None, 50);
        assert!(!report.text().contains('→'));
        Ahead { low: 900, high: 2400 }.report(&mut report, kind, None, 50);
        assert!(report.text().contains("! ") && report.succeeded());
        Ahead {
            low: -400_500,
            high: -399_000,
        }
        .report(&mut report, kind, None, 50);
        assert!(!report.succeeded());
    }
}
