//! The worlds themselves: they follow from their seeds, contain every trouble, and are fair.

use super::history::{Arrival, Departure, History};
use super::world::{Assumption, HardWorld};
use super::{Plan, playback, run};
use crate::Rounding;

fn departures(world: &HardWorld) -> Vec<Departure> {
    let arrivals = History::new(world).arrivals();
    let of = |(_, arrival)| match arrival {
        Arrival::Departure(d) => Some(d),
        _ => None,
    };
    arrivals.into_iter().filter_map(of).collect()
}

#[test]
fn hard_world_follows_from_its_seed() {
    for seed in 1..40 {
        let both = [HardWorld::random(seed, 2.0), HardWorld::random(seed, 2.0)];
        assert_eq!(format!("{:?}", both[0]), format!("{:?}", both[1]));
        assert_eq!(
            format!("{:?}", departures(&both[0])),
            format!("{:?}", departures(&both[1]))
        );
    }
}

#[test]
fn hard_worlds_do_not_depend_on_number_of_threads() {
    let play = |threads| {
        run(&Plan {
            worlds: 4,
            days: 0.5,
            seed: 7,
            threads,
            clock_us: None,
        })
    };
    let counts = |threads| play(threads).iter().map(|r| (r.seed, r.counts)).collect::<Vec<_>>();
    assert_eq!(counts(1), counts(3));
}

#[test]
fn hard_worlds_break_every_assumption_and_often_none() {
    let worlds: Vec<HardWorld> = (0..300).map(|seed| HardWorld::random(seed, 30.0)).collect();
    let kept = worlds.iter().filter(|w| w.keeps_assumptions()).count();
    assert!(
        (150..250).contains(&kept),
        "{kept} of 300 keep the declared assumptions"
    );
    for assumption in Assumption::ALL {
        let breaking = worlds.iter().filter(|w| w.broken().contains(&assumption)).count();
        assert!(breaking >= 5, "{breaking} of 300 worlds break {assumption:?}");
    }
}

#[test]
fn hard_worlds_contain_every_trouble() {
    let worlds: Vec<HardWorld> = (0..200).map(|seed| HardWorld::random(seed, 30.0)).collect();
    let share = |name: &str, has: &dyn Fn(&HardWorld) -> bool| {
        let count = worlds.iter().filter(|w| has(w)).count();
        assert!(count >= 4, "{name}: only in {count} of 200 worlds");
    };
    share("no commands", &|w| w.traffic.commanded <= 0.0);
    share("stale answers", &|w| w.polling.age > 0.0);
    share("backlogs", &|w| !w.notices.backlogs.is_empty());
    share("late notices", &|w| w.notices.late.0 > 0.0);
    share("clocks set once a day", &|w| w.machines[0].clock.steps().count() > 20);
    share("few steps", &|w| (1..15).contains(&w.machines[0].clock.steps().count()));
    share("named machines", &|w| w.machines.len() > 1 && w.names_machines);
    share("machines behind one name", &|w| {
        w.machines.len() > 1 && !w.names_machines
    });
    share("restarts", &|w| !w.restarts.is_empty());
    share("two hosts", &|w| w.hosts.len() > 1);
    share("corrections of our clock", &|w| {
        w.hosts.iter().any(|h| !h.corrections.is_empty())
    });
    share("mixed granularity", &|w| w.stamps.cut_to_seconds > 0.0);
    share("minutes", &|w| w.stamps.quantum >= 60_000.0);
    share("rounded seconds", &|w| {
        w.stamps.quantum >= 1000.0 && w.stamps.rounding == Rounding::Rounded
    });
    share("coupled `Date`s", &|w| {
        w.dates.as_ref().is_some_and(|d| d.declared_bound.is_some())
    });
    share("steps without `Date`s", &|w| {
        w.dates.is_none() && w.machines[0].clock.steps().next().is_some()
    });
}

/// The evidence of a sound departure is true: otherwise a missed interval would be the simulator's fault.
#[test]
fn sound_departures_have_true_evidence() {
    for seed in 0..60 {
        let world = HardWorld::random(seed, 4.0);
        let error = world.declared.clock_error_ms as f64 + 1e-6;
        for d in departures(&world).iter().filter(|d| d.is_sound) {
            assert!(d.not_before.is_none_or(|t| t <= d.truth + error), "seed {seed}: {d:?}");
            assert!(
                d.truth - error <= d.gone_by && d.gone_by <= d.learnt,
                "seed {seed}: {d:?}"
            );
            let shift = if world.stamps.rounding == Rounding::Rounded {
                d.quantum / 2.0
            } else {
                0.0
            };
            let read = d.truth + world.machines[d.machine].clock.offset_at(d.truth) + shift;
            assert!(
                d.stamp <= read + 1e-6 && read < d.stamp + d.quantum + 1e-6,
                "seed {seed}: {d:?}"
            );
        }
    }
}

/// Knowing the offset is worth more than learning it, and the oracle's interval contains the truth.
#[test]
fn oracle_is_never_wider_than_the_least_half_width() {
    for seed in 0..10 {
        let result = playback::play(&HardWorld::random(seed, 1.0), None);
        if result.oracle.p50.is_nan() {
            // Too few departures to measure.
            continue;
        }
        let (known, least) = (result.oracle_half_width, result.least_half_width);
        assert!(known.p50 <= least.p50 && known.p99 <= least.p99, "seed {seed}");
        assert!(result.oracle.p50 <= known.p50, "seed {seed}");
    }
}

#[test]
fn kind_06_no_modelled_interval_is_published() {
    let results = run(&Plan {
        worlds: 2,
        days: 0.5,
        seed: 11,
        threads: 1,
        clock_us: None,
    });
    assert!(
        results
            .iter()
            .all(|r| r.counts.departures > 0 && r.counts.modelled == 0)
    );
}
