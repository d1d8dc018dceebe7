//! Idempotency keys.

use sidedoor_domain::ports::store::{KeyUse, KeyWrite};
use sidedoor_domain::ports::{CommitOutcome, Store, Transaction};

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    key_is_taken_once_for_each_caller,
    keys_are_counted_by_caller,
    key_keeps_the_answer_of_its_request,
    key_is_answered_or_freed_only_by_its_claim,
    key_that_was_freed_is_taken_again,
}

async fn write(store: &dyn Store, key: KeyWrite) -> CommitOutcome {
    let change = Transaction {
        key: Some(key),
        ..Transaction::default()
    };
    outcome(store, change).await
}

async fn key_is_taken_once_for_each_caller(store: &dyn Store) {
    let id = new_id();
    let take = |of: KeyUse| KeyWrite::Take(of, Some(id), at(0));
    assert!(write(store, take(key("k", "f"))).await.is_done());
    for fingerprint in ["f", "other"] {
        let CommitOutcome::KeyUsed(record) = write(store, take(key("k", fingerprint))).await else {
            panic!("taken twice")
        };
        assert_eq!(
            (record.fingerprint.as_str(), record.supervision, &record.answer),
            ("f", Some(id), &None)
        );
        assert_eq!(record.taken_by, store.incarnation());
        assert_eq!(store.key("c", "k").await.expect("read"), Some(record));
    }
    let of_another = KeyUse {
        caller: "another".into(),
        ..key("k", "f")
    };
    assert!(write(store, take(of_another)).await.is_done());
    assert_eq!(store.key("nobody", "k").await.expect("read"), None);
}

async fn keys_are_counted_by_caller(store: &dyn Store) {
    for name in ["a", "b", "c"] {
        write(store, KeyWrite::Take(key(name, "f"), None, at(0))).await;
    }
    let of_another = KeyUse {
        caller: "c2".into(),
        ..key("a", "f")
    };
    write(store, KeyWrite::Take(of_another, None, at(0))).await;
    write(store, KeyWrite::Forget(key("b", "f"))).await;
    for (caller, number) in [("c", 2), ("c2", 1), ("b", 0), ("d", 0)] {
        assert_eq!(store.keys_of(caller).await.expect("read"), number, "{caller}");
    }
}

async fn key_keeps_the_answer_of_its_request(store: &dyn Store) {
    write(store, KeyWrite::Take(key("k", "f"), None, at(0))).await;
    let answer = Transaction {
        key: Some(KeyWrite::Answer(key("k", "f"), 201, "{}".into())),
        ..Transaction::default()
    };
    store.transact_later(answer);
    store.flush().await.expect("done");
    let record = store.key("c", "k").await.expect("read").expect("there");
    assert_eq!(record.answer, Some((201, "{}".into())));
    let CommitOutcome::KeyUsed(used) = write(store, KeyWrite::Take(key("k", "f"), None, at(1))).await else {
        panic!("taken twice")
    };
    assert_eq!(used, record);
}

/// A repeated request that fails or comes late neither frees the key of the first request nor stores a response for it.
async fn key_is_answered_or_freed_only_by_its_claim(store: &dyn Store) {
    let mine = key("k", "f");
    let theirs = KeyUse {
        claim: "second".into(),
        ..key("k", "f")
    };
    let answer = async || store.key("c", "k").await.expect("read").map(|record| record.answer);
    let taken = write(store, KeyWrite::Take(mine.clone(), None, at(0))).await;
    assert!(taken.is_done());
    write(store, KeyWrite::Forget(theirs.clone())).await;
    write(store, KeyWrite::Answer(theirs.clone(), 409, "{}".into())).await;
    assert_eq!(answer().await, Some(None), "the first request still runs");
    let again = write(store, KeyWrite::Take(theirs.clone(), None, at(0))).await;
    assert!(matches!(again, CommitOutcome::KeyUsed(_)));
    write(store, KeyWrite::Answer(mine.clone(), 200, "[]".into())).await;
    for late in [
        KeyWrite::Forget(theirs),
        KeyWrite::Forget(mine.clone()),
        KeyWrite::Answer(mine, 500, "{}".into()),
    ] {
        assert!(write(store, late).await.is_done());
        assert_eq!(answer().await, Some(Some((200, "[]".into()))), "the answer stays");
    }
}

async fn key_that_was_freed_is_taken_again(store: &dyn Store) {
    write(store, KeyWrite::Take(key("k", "f"), None, at(0))).await;
    write(store, KeyWrite::Forget(key("k", "f"))).await;
    assert_eq!(store.key("c", "k").await.expect("read"), None);
    let again = write(store, KeyWrite::Take(key("k", "other"), None, at(0))).await;
    assert!(again.is_done());
}
