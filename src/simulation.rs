//! A deterministic simulation of the use cases: hours of a contact centre in milliseconds. Everything outside the use cases is
//! simulated: the vendor, which delays, loses, cuts, refuses and answers with old data; events, which come late, twice, never,
//! or from a forger; browsers; the org; the disk, which may fail; and the process, which may crash at every await.
//!
//! | module | contents |
//! |---|---|
//! | [`plan`] | what happens in one world; it follows from a seed, and shrinks |
//! | [`world`] | the world: it runs the plan against the service |
//! | [`process`] | the service, which may crash and start again |
//! | [`people`] | what people do through the API |
//! | [`vendor`] | Amazon Connect, and the truth about every leg |
//! | [`views`] | what its reading operations answer |
//! | [`telephony`] | its API, as the service sees it |
//! | [`events`] | its events on their way, and forged ones |
//! | [`browser`] | the supervisors' browsers |
//! | [`crm`] | the Salesforce org |
//! | [`deliveries`] | records on their way to an org that is slow or does not answer |
//! | [`slow_org`] | the org of those deliveries |
//! | [`streams`] | many open streams of directives |
//! | [`stories`] | worlds that were found by hand |
//! | [`time`] | clocks and random numbers |
//! | [`invariants`] | what must hold in every world |
//!
//! Run it with `make simulate SEEDS=10000` (see docs/testing.md). A failing seed prints its smallest plan and its story.

mod browser;
mod carrier;
mod crm;
mod deliveries;
mod events;
mod invariants;
mod people;
mod plan;
mod process;
mod slow_org;
mod stories;
mod streams;
mod telephony;
mod time;
mod vendor;
mod views;
mod world;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use plan::Plan;
use world::{Violation, World};

/// How long a world is calm before it is judged.
const CALM: Duration = Duration::from_secs(8 * 60);

/// What became of one world.
struct Outcome {
    violations: Vec<Violation>,
    /// How long after its true end each departure was committed, ms.
    noticed_ms: Vec<i64>,
    story: Vec<String>,
}

fn run(plan: &Plan, tells: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let world = World::new(plan.clone(), tells);
        world.live(CALM).await;
        Outcome {
            noticed_ms: world.times_to_notice(),
            violations: world.violations(),
            story: world.story(),
        }
    })
}

/// The smallest plan found that breaks the same rule.
fn shrink(plan: &Plan, rule: &str) -> Plan {
    let breaks = |plan: &Plan| run(plan, false).violations.iter().any(|v| v.rule == rule);
    let mut smallest = plan.clone();
    while let Some(smaller) = smallest.smaller().into_iter().find(breaks) {
        smallest = smaller;
    }
    smallest
}

/// The smallest plan that breaks the rule, and the story of its world.
fn explain(plan: &Plan, rule: &str) -> String {
    let smallest = shrink(plan, rule);
    let outcome = run(&smallest, true);
    format!("{smallest}\n{}", outcome.story.join("\n"))
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

/// The rules that the service does not keep yet.
const NOT_KEPT_YET: [&str; 0] = [];

/// Runs `SEEDS` worlds from `SEED` on. Fails with the shrunk story of the first world of each broken rule.
#[test]
#[allow(
    clippy::disallowed_methods,
    reason = "the rate of the simulation is measured in real time"
)]
fn simulation_keeps_every_promise() {
    let (first, seeds) = (number("SEED", 1), number("SEEDS", 2000));
    let began = Instant::now();
    let mut noticed: Vec<i64> = Vec::new();
    let mut broken: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    for seed in first..first + seeds {
        let outcome = run(&Plan::of_seed(seed), false);
        noticed.extend(outcome.noticed_ms);
        for violation in outcome.violations {
            let seeds = broken.entry(violation.rule).or_default();
            if seeds.last() != Some(&seed) {
                seeds.push(seed);
            }
        }
    }
    let took = began.elapsed();
    #[allow(clippy::cast_precision_loss, reason = "a rate")]
    let rate = seeds as f64 / took.as_secs_f64() * 60.0;
    println!("{seeds} worlds in {:.1} s, {rate:.0} a minute", took.as_secs_f64());
    noticed.sort_unstable();
    let percentile = |share: usize| noticed.get((noticed.len() * share / 100).min(noticed.len().saturating_sub(1)));
    println!(
        "{} departures, noticed after ms: p50 {:?}, p90 {:?}, p99 {:?}",
        noticed.len(),
        percentile(50),
        percentile(90),
        percentile(99)
    );
    for (rule, seeds) in &broken {
        println!(
            "{rule}: {} worlds, such as {:?}",
            seeds.len(),
            &seeds[..seeds.len().min(10)]
        );
    }
    let new = broken.iter().filter(|(rule, _)| !NOT_KEPT_YET.contains(rule));
    let stories = new.map(|(rule, seeds)| format!("{rule}: {}", explain(&Plan::of_seed(seeds[0]), rule)));
    let stories: Vec<String> = stories.collect();
    assert!(stories.is_empty(), "{}", stories.join("\n\n"));
}

/// Twenty worlds, each twice: the whole stories are equal.
#[test]
fn simulation_repeats_exactly() {
    for seed in 1..=20 {
        let plan = Plan::of_seed(seed);
        let (first, second) = (run(&plan, true), run(&plan, true));
        let differs = first.story.iter().zip(&second.story).position(|(a, b)| a != b);
        if let Some(at) = differs {
            let lines = at.saturating_sub(5)..(at + 2).min(first.story.len());
            panic!("seed {seed}: {:#?} {:?}", &first.story[lines], second.story[at]);
        }
        assert_eq!(first.story.len(), second.story.len(), "seed {seed}");
    }
}
