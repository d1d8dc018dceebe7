//! Supervisions: writes, and reads of one supervision, one supervisor and one contact.

use sidedoor_domain::ids::ContactId;
use sidedoor_domain::ports::store::Filter;
use sidedoor_domain::ports::{CommitOutcome, Store, StoreError};
use sidedoor_domain::supervision::{Channel, State};

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    supervisions_without_names_are_listed_by_id,
    supervision_is_read_as_it_was_written,
    supervision_update_from_old_revision_is_stale,
    supervision_inserted_twice_is_an_error,
    supervision_is_found_by_its_leg_in_its_instance,
    leg_taken_refuses_insert_and_update,
    active_supervisions_are_found_by_supervisor_and_contact,
    active_supervisions_are_limited_to_200,
    unfinished_supervisions_are_resumed_oldest_first,
    left_supervisions_are_listed_latest_end_first,
    over_on_lists_the_left_ones_newest_first,
    contact_is_found_in_any_spelling,
    supervisors_are_listed_once_sorted_and_paged,
    counts_are_by_state,
}

async fn supervision_is_read_as_it_was_written(store: &dyn Store) {
    let mut s = left("contact", "user", "leg", at(5));
    s.voice_call_id = Some("0LQ".into());
    done(store, insert(&s)).await;
    let stored = store.supervision(s.id).await.expect("read").expect("there");
    assert_eq!((&stored.supervision, stored.revision), (&s, 1));
    assert_eq!(stored.record_sync, None, "no version is due to be sent");
    s.checks = 3;
    done(store, update(&s, 1)).await;
    let stored = store.supervision(s.id).await.expect("read").expect("there");
    assert_eq!((&stored.supervision, stored.revision), (&s, 2));
    assert_eq!(store.supervision(new_id()).await.expect("read"), None);
}

async fn supervision_update_from_old_revision_is_stale(store: &dyn Store) {
    let mut s = requested("contact", "user");
    assert_eq!(
        outcome(store, update(&s, 1)).await,
        CommitOutcome::Stale,
        "it is unknown"
    );
    done(store, insert(&s)).await;
    let first = s.clone();
    s.start_joining(at(1)).expect("fits");
    for wrong in [0, 2] {
        assert_eq!(outcome(store, update(&s, wrong)).await, CommitOutcome::Stale);
    }
    done(store, update(&s, 1)).await;
    assert_eq!(outcome(store, update(&first, 1)).await, CommitOutcome::Stale);
    let stored = store.supervision(s.id).await.expect("read").expect("there");
    assert_eq!((stored.supervision, stored.revision), (s, 2));
}

async fn supervision_inserted_twice_is_an_error(store: &dyn Store) {
    let s = requested("contact", "user");
    done(store, insert(&s)).await;
    let again = store.transact(insert(&s)).await;
    assert!(matches!(again, Err(StoreError::Store(_))), "{again:?}");
    assert_eq!(store.supervision(s.id).await.expect("read").expect("there").revision, 1);
}

async fn supervision_is_found_by_its_leg_in_its_instance(store: &dyn Store) {
    let s = monitoring("contact", "user", "leg");
    let mut elsewhere = monitoring("contact", "user", "leg");
    elsewhere.instance = other_instance();
    done(store, insert(&s)).await;
    done(store, insert(&elsewhere)).await;
    let found = |found: Option<_>| ids(&Vec::from_iter(found));
    assert_eq!(
        found(store.by_leg(&main_instance(), "leg").await.expect("read")),
        [s.id]
    );
    let there = store.by_leg(&other_instance(), "leg").await.expect("read");
    assert_eq!(found(there), [elsewhere.id]);
    assert_eq!(store.by_leg(&main_instance(), "another").await.expect("read"), None);
}

async fn leg_taken_refuses_insert_and_update(store: &dyn Store) {
    let first = monitoring("contact-1", "user-1", "leg");
    let second = monitoring("contact-2", "user-2", "leg");
    let mut third = requested("contact-3", "user-3");
    done(store, insert(&first)).await;
    assert_eq!(outcome(store, insert(&second)).await, CommitOutcome::LegTaken(first.id));
    assert_eq!(store.supervision(second.id).await.expect("read"), None);
    done(store, insert(&third)).await;
    third.leg = Some(leg("leg"));
    assert_eq!(
        outcome(store, update(&third, 1)).await,
        CommitOutcome::LegTaken(first.id)
    );
    done(store, update(&first, 1)).await;
    let found = store
        .by_leg(&main_instance(), "leg")
        .await
        .expect("read")
        .expect("there");
    assert_eq!((found.supervision.id, found.revision), (first.id, 2));
}

async fn active_supervisions_are_found_by_supervisor_and_contact(store: &dyn Store) {
    let (first, mut chat) = (requested("contact", "user"), requested("contact", "user"));
    chat.channel = Some(Channel::Chat);
    let mut elsewhere = requested("contact", "user");
    elsewhere.instance = other_instance();
    let others = [requested("contact-2", "user-2"), left("contact", "user", "leg", at(1))];
    for s in [&first, &chat, &elsewhere].into_iter().chain(&others) {
        done(store, insert(s)).await;
    }
    let mut expected = [first.id, chat.id];
    expected.sort();
    let of = store.active_of(&main_instance(), &user("user")).await.expect("read");
    assert_eq!(ids(&of), expected);
    let on = store
        .active_on(&main_instance(), &contact("contact"))
        .await
        .expect("read");
    assert_eq!(ids(&on), expected);
}

async fn active_supervisions_are_limited_to_200(store: &dyn Store) {
    for n in 0..201 {
        let mut s = requested("contact", "user");
        (s.id, s.channel) = (id_at(0, n), Some(Channel::Chat));
        store.transact_later(insert(&s));
    }
    store.flush().await.expect("done");
    let of = store.active_of(&main_instance(), &user("user")).await.expect("read");
    let on = store
        .active_on(&main_instance(), &contact("contact"))
        .await
        .expect("read");
    let first: Vec<_> = (0..200).map(|n| id_at(0, n)).collect();
    assert_eq!((ids(&of), ids(&on)), (first.clone(), first));
}

async fn unfinished_supervisions_are_resumed_oldest_first(store: &dyn Store) {
    let mut all = [
        requested("contact-1", "user-1"),
        monitoring("contact-2", "user-2", "leg-2"),
        requested("contact-3", "user-3"),
        left("contact-4", "user-4", "leg-4", at(1)),
    ];
    for (s, ms) in all.iter_mut().zip([3, 2, 1, 0]) {
        s.id = id_at(ms, 0);
        done(store, insert(s)).await;
    }
    let found = async |states: &[State], limit| ids(&store.in_states(states, limit).await.expect("read"));
    assert_eq!(found(&[State::Requested], 10).await, [all[2].id, all[0].id]);
    let both = [State::Requested, State::Monitoring];
    assert_eq!(found(&both, 2).await, [all[2].id, all[1].id]);
    assert_eq!(found(&[State::Left, State::Failed], 10).await, []);
    assert_eq!(found(&[], 10).await, []);
}

async fn left_supervisions_are_listed_latest_end_first(store: &dyn Store) {
    let ends = [5, 9, 7, 2];
    let all = ends.map(|end| left("contact", "user", &format!("leg-{end}"), at(end)));
    for s in all.iter().chain([&failed("contact", "user-2", at(8))]) {
        done(store, insert(s)).await;
    }
    let until = async |since, until, limit| ids(&store.left_between(at(since), at(until), limit).await.expect("read"));
    let found = async |since, limit| until(since, 1000, limit).await;
    let latest = all
        .iter()
        .filter_map(|s| s.departure.as_ref().map(|d| d.latest))
        .max()
        .expect("one");
    let before = latest.as_millisecond() - at(0).as_millisecond() - 1;
    assert!(!until(0, before, 10).await.contains(&all[1].id), "it ended later");
    assert_eq!(
        found(5, 10).await,
        [all[1].id, all[2].id, all[0].id],
        "a failed one never joined"
    );
    assert_eq!(found(0, 1).await, [all[1].id]);
}

async fn over_on_lists_the_left_ones_newest_first(store: &dyn Store) {
    let mut all = [1, 2, 3].map(|n| left("contact", "user", &format!("leg-{n}"), at(n)));
    for (s, n) in all.iter_mut().zip(0..) {
        s.id = id_at(0, n);
    }
    let mut elsewhere = left("contact", "user", "leg-4", at(1));
    elsewhere.instance = other_instance();
    let others = [
        elsewhere,
        left("contact", "user-2", "leg-5", at(1)),
        left("contact-2", "user", "leg-6", at(1)),
        failed("contact", "user", at(1)),
        monitoring("contact", "user", "leg-7"),
    ];
    for s in all.iter().chain(&others) {
        done(store, insert(s)).await;
    }
    let over = async |limit| {
        store
            .over_on(&main_instance(), &contact("contact"), &user("user"), limit)
            .await
            .expect("read")
    };
    assert_eq!(over(10).await, [all[2].id, all[1].id, all[0].id]);
    assert_eq!(over(1).await, [all[2].id]);
}

async fn contact_is_found_in_any_spelling(store: &dyn Store) {
    let stored = [
        left("12ab-CD", "user-1", "leg-1", at(1)),
        left("12AB-CD", "user-1", "leg-2", at(2)),
        monitoring("12ab-cd", "user-2", "leg-3"),
        monitoring("12ab-ce", "user-3", "leg-4"),
    ];
    for s in &stored {
        done(store, insert(s)).await;
    }
    for spelling in ["12ab-cd", "12AB-CD", "12Ab-cD"] {
        let wanted = contact(spelling);
        let active = store.active_on(&main_instance(), &wanted).await.expect("read");
        assert_eq!(ids(&active), [stored[2].id], "{spelling}");
        let over = store
            .over_on(&main_instance(), &wanted, &user("user-1"), 10)
            .await
            .expect("read");
        assert_eq!(over.len(), 2, "{spelling}");
        let filter = Filter {
            contact: Some(wanted),
            limit: 10,
            ..Filter::default()
        };
        let listed = store.list(&filter).await.expect("read");
        assert_eq!(listed.len(), 3, "{spelling}");
        let spelt = listed
            .iter()
            .find(|s| s.supervision.id == stored[1].id)
            .expect("listed");
        let kept = spelt.supervision.contact.as_ref().map(ContactId::as_str);
        assert_eq!(kept, Some("12AB-CD"), "the spelling is kept");
    }
}

async fn supervisors_are_listed_once_sorted_and_paged(store: &dyn Store) {
    for (n, (name, ms)) in (0..).zip([("b", 5), ("a", 5), ("b", 6), ("old", 4), ("c", 7)]) {
        let mut s = failed("contact", name, at(9));
        s.id = id_at(ms, n);
        done(store, insert(&s)).await;
    }
    let mut elsewhere = failed("contact", "d", at(9));
    (elsewhere.instance, elsewhere.id) = (other_instance(), id_at(8, 0));
    done(store, insert(&elsewhere)).await;
    let mut unknown = failed("contact", "e", at(9));
    unknown.supervisor.connect_user_id = None;
    done(store, insert(&unknown)).await;
    let found = async |after: Option<&str>, limit| {
        let after = after.map(user);
        store
            .supervisors_since(&main_instance(), at(5), after.as_ref(), limit)
            .await
            .expect("read")
    };
    assert_eq!(found(None, 10).await, [user("a"), user("b"), user("c")]);
    assert_eq!(found(Some("a"), 1).await, [user("b")]);
    assert_eq!(found(Some("c"), 10).await, []);
}

async fn counts_are_by_state(store: &dyn Store) {
    let mut overdue = leaving("contact-1", "user-1", "leg-1");
    overdue.overdue = true;
    for s in [
        overdue,
        monitoring("contact-2", "user-2", "leg-2"),
        monitoring("contact-3", "user-3", "leg-3"),
        left("contact-4", "user-4", "leg-4", at(1)),
    ] {
        done(store, insert_with_record(&s, at(0))).await;
    }
    let counts = store.counts().await.expect("read");
    assert_eq!(counts.active, [(State::Leaving, 1), (State::Monitoring, 2)]);
    assert_eq!(counts.overdue, 1);
    let rows: Vec<_> = counts.rows.iter().map(|(state, n)| (state.as_str(), *n)).collect();
    assert_eq!(rows, [("PENDING", 4), ("FAILED", 0)]);
}

async fn supervisions_without_names_are_listed_by_id(store: &dyn Store) {
    let unnamed = async |after| store.unnamed(after, 10).await.expect("read");
    let (first, second) = (
        monitoring("c-1", "user-1", "leg-1"),
        monitoring("c-2", "user-2", "leg-2"),
    );
    for s in [&requested("c-3", "user-3"), &first, &second] {
        done(store, insert(s)).await;
    }
    let mut all = vec![first.id, second.id];
    all.sort();
    assert_eq!(unnamed(None).await, all);
    assert_eq!(unnamed(Some(all[0])).await, all[1..]);
    assert_eq!(store.unnamed(None, 1).await.expect("read"), all[..1]);
    let mut named = first.clone();
    named.names.is_complete = true;
    done(store, update(&named, 1)).await;
    assert_eq!(unnamed(None).await, [second.id]);
    named.set_agent(Some(user("agent-1")));
    done(store, update(&named, 2)).await;
    assert_eq!(unnamed(None).await, all);
}
