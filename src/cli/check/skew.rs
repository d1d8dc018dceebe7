//! Our clock beside a vendor's `Date`. The header holds whole seconds and an exchange takes its time, so what is known is an
//! interval; several exchanges narrow it.

use jiff::Timestamp;

use super::report::{Kind, Report};

/// From here on vendors refuse what we sign: AWS takes signatures of five minutes, Salesforce assertions of three.
const REFUSED_MS: i64 = 120_000;

/// How far ahead of ours a vendor's clock is, ms: surely within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ahead {
    low: i64,
    high: i64,
}

impl Ahead {
    /// What one exchange says. A header may be cut or rounded to its second: both are allowed for.
    pub(super) fn of(sent_at: Timestamp, received_at: Timestamp, date: Timestamp) -> Self {
        let ms = Timestamp::as_millisecond;
        Self {
            low: ms(date) - 500 - ms(received_at),
            high: ms(date) + 1000 - ms(sent_at),
        }
    }

    /// What both say. Two that exclude each other (a clock was set in between) leave the later.
    pub(super) fn and(self, later: Self) -> Self {
        let both = Self {
            low: self.low.max(later.low),
            high: self.high.min(later.high),
        };
        if both.low <= both.high { both } else { later }
    }

    /// The least it is off, ms.
    fn at_least(self) -> i64 {
        self.low.max(-self.high).max(0)
    }

    /// The line for it.
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
            "theirs is {} to {} s ahead of ours",
            seconds(self.low),
            seconds(self.high)
        );
        let remedy =
            "synchronise this machine's clock (chronyd, systemd-timesyncd; on EC2 the Amazon Time Sync Service)";
        match self.at_least() {
            off if off >= REFUSED_MS => {
                report.fail(
                    kind,
                    about,
                    format!("{detail}: what we sign is refused, or soon will be"),
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
    fn several_exchanges_narrow_the_interval_and_never_exclude_the_truth() {
        // A vendor's clock 1,370 ms ahead, cut to seconds, asked at four moments; exchanges take 40 ms.
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
    fn only_what_is_surely_off_is_told() {
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
