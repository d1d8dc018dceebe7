//! `[timing]`: the vendors' clocks.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Reader;
use sidedoor_domain::supervision::AMAZON_CONNECT;

/// `[timing]`
#[derive(Debug, Clone)]
pub struct TimingConfig {
    /// How often a vendor whose `Date`s bound its other stamps is asked for one; zero for never.
    pub probe_every: Duration,
    /// At most this uncertainty: CALIBRATED.
    pub calibrated: Duration,
    /// At most this uncertainty: EXACT.
    pub exact: Duration,
    /// `[timing.vendors.<name>]`; Amazon Connect is always there, a partner carrier is known only from here.
    pub vendors: BTreeMap<String, VendorTimingConfig>,
}

/// One vendor's clocks.
#[derive(Debug, Clone)]
pub struct VendorTimingConfig {
    /// The greatest drift, ppm.
    pub max_drift_ppm: u32,
    /// How far the clock may stray from a straight line within the window.
    pub model_error: Duration,
    /// How fast its drift may change, ppm per hour.
    pub wander_ppm_per_hour: u32,
    /// Older samples are forgotten.
    pub window: Duration,
    /// To what stamps are cut, if not learnt.
    pub quantum: Option<Duration>,
    /// How stamps are cut, if not learnt.
    pub cutting: CuttingConfig,
    /// How far the API front end's clock may be from its stamps; `None`: not coupled.
    pub date_bound: Option<Duration>,
}

/// How stamps are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CuttingConfig {
    /// Seen from the stamps.
    Learn,
    /// Down.
    Truncated,
    /// To the nearest.
    Rounded,
}

impl TimingConfig {
    pub(super) fn read(r: &mut Reader) -> Self {
        let mut names = r.names("timing.vendors");
        names.push(AMAZON_CONNECT.to_owned());
        let mut vendors = BTreeMap::new();
        for name in names {
            let plain = name.len() <= 40
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !plain || name.is_empty() {
                let setting = format!("timing.vendors.{name}");
                r.problem(&setting, "is not a vendor's name", "use up to 40 of a-z, 0-9 and -");
                r.pass_over(&setting);
                continue;
            }
            vendors.insert(name.clone(), VendorTimingConfig::read(r, &name));
        }
        let calibrated = r.millis("timing.calibrated_ms", 250, 1, 60_000);
        let exact = r.millis("timing.exact_ms", 50, 1, 60_000);
        if exact > calibrated {
            let problem = "is greater than timing.calibrated_ms";
            r.problem(
                "timing.exact_ms",
                problem,
                "EXACT is the stricter grade: give it the smaller bound",
            );
        }
        Self {
            probe_every: r.seconds("timing.probe_every_s", 300, 0, 86_400),
            calibrated,
            exact,
            vendors,
        }
    }
}

impl VendorTimingConfig {
    fn read(r: &mut Reader, name: &str) -> Self {
        let setting = |key: &str| format!("timing.vendors.{name}.{key}");
        let given = |r: &mut Reader, key: &str, most: u64| {
            let setting = setting(key);
            let is_given = r.has(&setting);
            let read = r.millis(&setting, 0, 0, most);
            is_given.then_some(read)
        };
        let cuttings = [
            ("learn", CuttingConfig::Learn),
            ("truncated", CuttingConfig::Truncated),
            ("rounded", CuttingConfig::Rounded),
        ];
        Self {
            max_drift_ppm: r.number(&setting("max_drift_ppm"), 200, 1, 10_000),
            model_error: r.millis(&setting("model_error_ms"), 4, 0, 10_000),
            wander_ppm_per_hour: r.number(&setting("wander_ppm_per_hour"), 0, 0, 1000),
            window: Duration::from_secs(3600 * r.number(&setting("window_h"), 6_u64, 1, 24)),
            quantum: given(r, "quantum_ms", 60_000).filter(|q| !q.is_zero()),
            cutting: r.word(&setting("cutting"), &cuttings, CuttingConfig::Learn),
            date_bound: given(r, "date_bound_ms", 60_000),
        }
    }
}
