//! No parser of untrusted input panics on the seeds of the fuzz targets, or on seeds that are cut, flipped or spliced. `make fuzz` has
//! the same targets and searches for new inputs by coverage.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

#[path = "../../../fuzz/targets.rs"]
mod targets;

/// A mutation of a seed.
#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Cut(Index, Index),
    Repeat(Index, Index),
    Insert(Index, Vec<u8>),
    Splice(Index, usize, Index),
}

fn change(seeds: usize) -> impl Strategy<Value = Change> {
    // Bytes with a meaning in JSON, TOML or a query, or any byte.
    let telling = prop::sample::select(b"\"\\{}[]:,=&%.#-+eE09\0\n\r \xff\xc3".to_vec());
    prop_oneof![
        (any::<Index>(), 1_u8..).prop_map(|(at, mask)| Change::Flip(at, mask)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Cut(from, to)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Repeat(from, to)),
        (
            any::<Index>(),
            prop::collection::vec(prop_oneof![telling, any::<u8>()], 1..12)
        )
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), 0..seeds, any::<Index>()).prop_map(|(at, other, from)| Change::Splice(at, other, from)),
    ]
}

fn place(index: &Index, bytes: &[u8]) -> usize {
    index.index(bytes.len() + 1)
}

fn span(from: &Index, to: &Index, bytes: &[u8]) -> std::ops::Range<usize> {
    let (a, b) = (place(from, bytes), place(to, bytes));
    a.min(b)..a.max(b)
}

fn changed(mut bytes: Vec<u8>, changes: &[Change], seeds: &[Vec<u8>]) -> Vec<u8> {
    for change in changes {
        match change {
            Change::Flip(at, mask) => {
                let at = place(at, &bytes);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= mask;
                }
            }
            Change::Cut(from, to) => {
                let cut = span(from, to, &bytes);
                bytes.drain(cut);
            }
            Change::Repeat(from, to) => {
                let part = bytes[span(from, to, &bytes)].to_vec();
                bytes.extend(part);
            }
            Change::Insert(at, more) => {
                let at = place(at, &bytes);
                bytes.splice(at..at, more.iter().copied());
            }
            Change::Splice(at, other, from) => {
                let other = &seeds[*other];
                bytes.truncate(place(at, &bytes));
                bytes.extend(&other[place(from, other)..]);
            }
        }
    }
    bytes.truncate(65_536);
    bytes
}

fn seeds_of(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("every target has seeds")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("readable"))
        .collect()
}

#[test]
fn untrusted_input_breaks_no_parser() {
    for (name, target) in targets::ALL {
        let seeds = seeds_of(name);
        assert!(seeds.len() >= 3, "{name} has too few seeds");
        seeds.iter().for_each(|seed| target(seed));
        let mutant = (0..seeds.len(), prop::collection::vec(change(seeds.len()), 1..6))
            .prop_map(|(seed, changes)| changed(seeds[seed].clone(), &changes, &seeds));
        let mut runner = TestRunner::new(ProptestConfig {
            cases: 2_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let ran = runner.run(&mutant, |bytes| {
            target(&bytes);
            Ok(())
        });
        if let Err(e) = ran {
            panic!("{name}: {e}");
        }
    }
}

/// The seeds must be accepted by the parsers they are meant for, otherwise the targets would test only the first checks.
#[test]
fn untrusted_input_seeds_reach_their_targets() {
    use sidedoor::http::untrusted;
    use sidedoor_domain::{agent_event, contact_event};
    let json = |bytes: &Vec<u8>| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let events = seeds_of("contact_event");
    let is_contact = |v| matches!(contact_event::read(&v), Ok(contact_event::Envelope::Contact(_)));
    assert!(events.iter().filter_map(json).any(is_contact));
    let agents = seeds_of("agent_event");
    assert!(
        agents
            .iter()
            .filter_map(json)
            .filter(|v| agent_event::read(v).is_ok())
            .count()
            >= 3
    );
    let bodies = seeds_of("json_body");
    let operations = untrusted::bodies(b"{}").len();
    for operation in 0..operations - 1 {
        let taken = bodies
            .iter()
            .filter(|seed| untrusted::bodies(seed)[operation].is_none())
            .count();
        assert!(taken > 0, "no seed is a body of operation {operation}");
    }
    let queries = seeds_of("query");
    let taken = |operation: usize| {
        queries.iter().any(|seed| {
            let said = untrusted::queries(&String::from_utf8_lossy(seed));
            said.get(operation).is_some_and(Option::is_none)
        })
    };
    assert!((0..3).all(taken));
    let whole = String::from_utf8(seeds_of("configuration").pop().expect("whole.toml")).expect("text");
    sidedoor::config::Config::parse(&whole, []).expect("a good configuration");
}
