//! `[timing]`: calibration of the vendors' clocks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clock_calibration::{Limits, Rounding, Thresholds, VendorSettings};
use sidedoor_domain::supervision::AMAZON_CONNECT;

use super::Reader;
use crate::usecases::clocks::calibrate::TimingSettings;

/// Reads `[timing]`. Amazon Connect always has an entry; a partner carrier is known only if it is listed.
pub(super) fn read(r: &mut Reader) -> TimingSettings {
    let names: BTreeSet<String> = r
        .names("timing.vendors")
        .into_iter()
        .chain([AMAZON_CONNECT.to_owned()])
        .collect();
    let mut vendors = BTreeMap::new();
    for name in names {
        let plain = name.len() <= 40
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !plain || name.is_empty() {
            let setting = format!("timing.vendors.{name}");
            r.problem(
                &setting,
                "invalid vendor name",
                "rename it: use up to 40 characters of a-z, 0-9 and '-'",
            );
            r.pass_over(&setting);
            continue;
        }
        vendors.insert(name.clone(), read_vendor(r, &name));
    }
    let calibrated_ms = r.number("timing.calibrated_ms", 250, 1, 60_000);
    let exact_ms = r.number("timing.exact_ms", 50, 1, 60_000);
    if exact_ms > calibrated_ms {
        let problem = "larger than timing.calibrated_ms";
        r.problem(
            "timing.exact_ms",
            problem,
            "set a value of at most timing.calibrated_ms, because EXACT is the stricter grade",
        );
    }
    let probe_every = r.seconds("timing.probe_every_s", 300, 0, 86_400);
    TimingSettings {
        vendors,
        thresholds: Thresholds {
            calibrated_ms,
            exact_ms,
            ..Thresholds::default()
        },
        probe_every: Some(probe_every).filter(|every| !every.is_zero()),
    }
}

fn read_vendor(r: &mut Reader, name: &str) -> VendorSettings {
    let setting = |key: &str| format!("timing.vendors.{name}.{key}");
    let cuttings = [
        ("learn", None),
        ("truncated", Some(Rounding::Truncated)),
        ("rounded", Some(Rounding::Rounded)),
    ];
    let ms = |r: &mut Reader, key: &str| {
        let setting = setting(key);
        let is_given = r.has(&setting);
        let read = r.number(&setting, 0, 0, 60_000_i32);
        is_given.then_some(read)
    };
    let limits = Limits {
        max_drift_ppm: f64::from(r.number(&setting("max_drift_ppm"), 200_u32, 1, 10_000)),
        model_error_ms: f64::from(r.number(&setting("model_error_ms"), 4_u32, 0, 10_000)),
        wander_ppm_per_hour: f64::from(r.number(&setting("wander_ppm_per_hour"), 0_u32, 0, 1000)),
        window: Duration::from_secs(3600 * r.number::<u64>(&setting("window_h"), 6, 1, 24)),
        quantum_ms: ms(r, "quantum_ms").filter(|ms| *ms > 0).map(i64::from),
        ..Limits::default()
    };
    VendorSettings {
        limits,
        rounding: r.word(&setting("cutting"), &cuttings, None),
        date_bound_ms: ms(r, "date_bound_ms").map(f64::from),
    }
}
