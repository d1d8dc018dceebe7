//! Plays hard worlds and checks the targets that the estimator meets today.
//!
//! `HARD_WORLDS`, `HARD_DAYS` and `HARD_SEED` choose other worlds; `make test-all` plays 200 worlds of 30 days.

use clock_calibration::simulator::hard_worlds::{Plan, Target, check, markdown, run};

/// The targets that this test checks. `sidedoor timing simulate --check` checks all of them. Add a target here as soon
/// as the estimator meets it.
const MET: &[Target] = &[
    Target::Width,
    Target::CalmWidth,
    Target::Nesting,
    Target::Uncalibrated,
    Target::Memory,
];

/// Targets that are met, but are shares so small that only many worlds show them.
const MET_IN_MANY_WORLDS: &[Target] = &[Target::SilentWithAssumptions];
const MANY_WORLDS: usize = 200;

fn setting(name: &str, default: f64) -> f64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |v| {
        v.parse().unwrap_or_else(|_| panic!("{name} is not a number: {v}"))
    })
}

#[test]
fn hard_worlds_meet_targets() {
    let plan = Plan {
        worlds: setting("HARD_WORLDS", 20.0) as usize,
        days: setting("HARD_DAYS", 2.0),
        seed: setting("HARD_SEED", 1.0) as u64,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        clock_us: None,
    };
    let results = run(&plan);
    assert_eq!(results.len(), plan.worlds);
    assert!(results.iter().all(|r| r.counts.departures > 0));
    println!(
        "{}",
        markdown(&results, &check(&results, &Target::ALL), &format!("{plan:?}."))
    );
    let many: &[Target] = if plan.worlds >= MANY_WORLDS {
        MET_IN_MANY_WORLDS
    } else {
        &[]
    };
    let missed = check(&results, &[MET, many].concat());
    assert!(missed.is_empty(), "missed targets: {missed:#?}");
}
