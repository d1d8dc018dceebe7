//! The operator's side: the declared bounds, our own clocks, and restarts.

use super::super::our_clock::HostClock;
use super::super::world::{Assumption, Dates, Declared, HOUR, Machine, StampFormat, Traffic};
use super::{DAY, Draw};
use crate::Limits;

impl Draw {
    /// Declares bounds that hold, unless the world breaks them on purpose.
    pub(super) fn declared(
        &mut self,
        machines: &[Machine],
        dates: Option<&Dates>,
        stamps: StampFormat,
        traffic: &Traffic,
    ) -> Declared {
        let mut limits = Limits::default();
        let sparse = (traffic.commanded + traffic.unprompted) * 6.0 < limits.enough_samples as f64;
        let window = if sparse { limits.sparse_window } else { limits.window }.as_secs_f64() * 1000.0;
        if !self.breaks(Assumption::StraightLine) {
            let clocks = machines.iter().map(|m| &m.clock).chain(dates.map(|d| &d.clock));
            let deviation = clocks
                .map(|c| c.deviation_from_line(window, self.end))
                .fold(0.0, f64::max);
            limits.model_error_ms = limits.model_error_ms.max((deviation * 1.1).ceil());
        }
        let r = &mut self.random;
        if r.chance(0.15) {
            limits.quantum_ms = Some(stamps.quantum as i64).filter(|_| stamps.cut_to_seconds <= 0.0);
        }
        let rounding = (stamps.quantum < 2.0 || r.chance(0.2))
            .then_some(stamps.rounding)
            .filter(|_| r.chance(0.5));
        let clock_error_ms = r.one_of(&[5, 10, 50, 50, 50, 100]);
        self.say(format!("our clock ± {clock_error_ms} ms"));
        Declared {
            limits,
            rounding,
            clock_error_ms,
        }
    }

    pub(super) fn hosts(&mut self, declared: f64) -> Vec<HostClock> {
        let breaks = self.breaks(Assumption::OurClock);
        let two = self.random.chance(0.15);
        // The wobble is small, and all parts together stay within the declared error.
        let one = |draw: &mut Self, reach: f64| {
            let r = &mut draw.random;
            HostClock {
                error: reach * r.between(-0.6, 0.6),
                wobble: (
                    (0.1 * declared).min(4.0) * r.share(),
                    r.log_between(0.5, 8.0),
                    r.share(),
                ),
                corrections: Vec::new(),
            }
        };
        let reach = if two || breaks {
            1.0
        } else {
            self.random.one_of(&[0.05, 0.2, 1.0])
        };
        let mut hosts = vec![one(self, reach * declared)];
        if two {
            hosts.push(one(self, declared));
            let apart = (hosts[0].error - hosts[1].error).abs();
            self.say(format!("two hosts {apart:.0} ms apart"));
        }
        if breaks || self.random.chance(0.2) {
            for host in &mut hosts {
                self.correct(host, declared, breaks);
            }
        }
        hosts
    }

    /// Corrections of a host's clock: small ones within the declared error, or large ones after the machine was paused.
    fn correct(&mut self, host: &mut HostClock, declared: f64, breaks: bool) {
        let end = self.end;
        let r = &mut self.random;
        let (mut level, mut t) = (host.error, r.between(0.05, 0.4) * end);
        let paused = breaks && r.chance(0.4);
        let mut sizes = Vec::new();
        while t < end {
            if paused {
                let behind = r.log_between(300.0, 20_000.0);
                let until = t + r.log_between(2_000.0, 120_000.0);
                host.corrections.extend([(t, -behind), (until, behind)]);
                sizes.push(format!("{behind:+.0}"));
            } else {
                let reach = if breaks { declared + 350.0 } else { 0.8 * declared };
                let next = r.between(-reach, reach);
                host.corrections.push((t, next - level));
                sizes.push(format!("{:+.0}", next - level));
                level = next;
            }
            t += r.gap(1.0 / (6.0 * DAY)) + HOUR;
        }
        self.say(format!("our clock corrected by {} ms", sizes.join(" ")));
    }

    pub(super) fn restarts(&mut self) -> Vec<f64> {
        let r = &mut self.random;
        if !r.chance(0.4) {
            return Vec::new();
        }
        let every = r.log_between(0.2 * DAY, 10.0 * DAY);
        let mut restarts = Vec::new();
        let mut t = r.gap(1.0 / every);
        while t < self.end {
            restarts.push(t);
            t += r.gap(1.0 / every);
        }
        self.say(format!("{} restarts", restarts.len()));
        restarts
    }
}
