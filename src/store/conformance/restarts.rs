//! What a restart of the service keeps.

use sidedoor_domain::ports::Transaction;
use sidedoor_domain::ports::store::KeyWrite;
use sidedoor_domain::ports::{CommitOutcome, Store};

use super::samples::*;
use super::{Disk, on_every_store};

on_every_store! { disk:
    restart_keeps_every_committed_transaction,
    restart_keeps_the_salt_and_changes_the_incarnation,
    key_left_unanswered_by_a_crash_is_taken_again,
}

async fn restart_keeps_every_committed_transaction(disk: &dyn Disk) {
    let store = disk.open().await;
    let many: Vec<_> = (0..200).map(|i| requested("contact", &format!("user-{i}"))).collect();
    let all = futures::future::join_all(many.iter().map(|s| store.transact(insert(s)))).await;
    assert!(all.iter().all(|done| matches!(done, Ok(CommitOutcome::Done(_)))));
    drop(store);
    let store = disk.open().await;
    for s in &many {
        let stored = store.supervision(s.id).await.expect("read").expect("there");
        assert_eq!((&stored.supervision, stored.revision), (s, 1));
    }
}

async fn restart_keeps_the_salt_and_changes_the_incarnation(disk: &dyn Disk) {
    let of = |store: &dyn Store| (store.channel_salt().to_owned(), store.incarnation().to_owned());
    let before = of(&*disk.open().await);
    let after = of(&*disk.open().await);
    assert_eq!(before.0, after.0);
    assert_eq!(before.0.len(), 64);
    assert_ne!(before.1, after.1);
}

/// A request about no supervision may run again if the process that began it crashed without a response. A request about a supervision
/// may not, because the supervision answers it.
async fn key_left_unanswered_by_a_crash_is_taken_again(disk: &dyn Disk) {
    let store = disk.open().await;
    let s = requested("contact", "user");
    let take = |name: &str, fingerprint: &str, of| Transaction {
        key: Some(KeyWrite::Take(key(name, fingerprint), of, at(0))),
        ..Transaction::default()
    };
    done(&*store, take("of none", "f", None)).await;
    done(&*store, take("of one", "f", Some(s.id))).await;
    drop(store);
    let store = disk.open().await;
    for (change, taken) in [
        (take("of none", "other", None), false),
        (take("of none", "f", None), true),
        (take("of none", "f", None), false),
        (take("of one", "f", Some(s.id)), false),
    ] {
        let described = format!("{:?}", change.key);
        let committed = outcome(&*store, change).await;
        assert_eq!(committed.is_done(), taken, "{described}");
    }
}
