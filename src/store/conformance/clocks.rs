//! Samples and epochs of vendors' clocks.

use clock_calibration::Cause;
use sidedoor_domain::moment::moment;
use sidedoor_domain::ports::store::{ClockEpoch, ClockId, EpochCause, Sample};
use sidedoor_domain::ports::{Store, Transaction};

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    clock_samples_are_the_latest_of_each_clock_oldest_first,
    clock_epochs_are_oldest_first,
    clock_epoch_that_is_stored_stays,
}

fn clock(source: &str) -> ClockId {
    ClockId::new("acme", "main", source, "released")
}

fn sample(ms: i64) -> Sample {
    Sample {
        not_before: Some(moment(at(ms - 10))),
        asked: None,
        not_after: moment(at(ms)),
        stamp: moment(at(1000)),
        cause: Cause::Command,
    }
}

fn epoch(source: &str, version: u32, since: i64) -> ClockEpoch {
    ClockEpoch {
        stream: clock(source),
        version,
        since: at(since),
        corroborated: at(since - 1),
        cause: EpochCause::OwnStep,
    }
}

async fn clock_samples_are_the_latest_of_each_clock_oldest_first(store: &dyn Store) {
    for (source, ms) in [("a", 5), ("b", 6), ("a", 9), ("a", 7), ("b", 2), ("b", 6)] {
        let change = Transaction {
            samples: vec![(clock(source), sample(ms))],
            ..Transaction::default()
        };
        done(store, change).await;
    }
    let found = async |since, limit| store.clock_samples(at(since), limit).await.expect("read");
    let expect = |of: &[(&str, i64)]| -> Vec<_> { of.iter().map(|(c, ms)| (clock(c), sample(*ms))).collect() };
    let all = [("b", 2), ("a", 5), ("b", 6), ("b", 6), ("a", 7), ("a", 9)];
    assert_eq!(found(0, 10).await, expect(&all));
    assert_eq!(found(0, 2).await, expect(&all[2..]));
    assert_eq!(found(7, 10).await, expect(&all[4..]));
    assert_eq!(found(10, 10).await, []);
}

async fn clock_epochs_are_oldest_first(store: &dyn Store) {
    let epochs = vec![epoch("b", 2, 5), epoch("a", 2, 9), epoch("a", 3, 2), epoch("a", 4, 7)];
    let change = Transaction {
        epochs: epochs.clone(),
        ..Transaction::default()
    };
    done(store, change).await;
    let found = store.clock_epochs().await.expect("read");
    assert_eq!(found, [2, 0, 3, 1].map(|n: usize| epochs[n].clone()));
}

async fn clock_epoch_that_is_stored_stays(store: &dyn Store) {
    for since in [5, 9] {
        let change = Transaction {
            epochs: vec![epoch("a", 2, since)],
            ..Transaction::default()
        };
        done(store, change).await;
    }
    assert_eq!(store.clock_epochs().await.expect("read"), [epoch("a", 2, 5)]);
}
