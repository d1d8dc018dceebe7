//! A supervisor's voice slots.

use sidedoor_domain::ports::{CommitOutcome, Store};
use sidedoor_domain::supervision::{Channel, Origin};

use super::samples::*;
use super::{Disk, on_every_store};

on_every_store! { store:
    voice_slot_that_is_busy_refuses_a_new_one,
    voice_slot_is_of_one_supervisor_in_one_instance,
    voice_slot_is_free_after_the_end,
    voice_slot_of_an_observed_leg_is_busy_too,
    voice_slot_is_taken_by_the_waiting_one_when_free,
    voice_slot_of_a_running_one_may_exceed_the_limit,
}

async fn voice_slot_that_is_busy_refuses_a_new_one(store: &dyn Store) {
    let first = requested("contact-1", "user");
    done(store, insert(&first)).await;
    let mut second = requested("contact-2", "user");
    assert_eq!(outcome(store, insert(&second)).await, CommitOutcome::Busy(first.id));
    second.channel = Some(Channel::Voice);
    assert_eq!(outcome(store, insert(&second)).await, CommitOutcome::Busy(first.id));
    assert_eq!(store.supervision(second.id).await.expect("read"), None);
    second.channel = Some(Channel::Chat);
    done(store, insert(&second)).await;
}

async fn voice_slot_is_of_one_supervisor_in_one_instance(store: &dyn Store) {
    let mut elsewhere = requested("contact", "user-1");
    elsewhere.instance = other_instance();
    let mut nobody = requested("contact", "user-1");
    nobody.supervisor.connect_user_id = None;
    for s in [
        &requested("contact", "user-1"),
        &requested("contact", "user-2"),
        &elsewhere,
        &nobody,
    ] {
        done(store, insert(s)).await;
    }
}

async fn voice_slot_is_free_after_the_end(store: &dyn Store) {
    let mut first = monitoring("contact-1", "user", "leg");
    let second = requested("contact-2", "user");
    done(store, insert(&first)).await;
    assert_eq!(outcome(store, insert(&second)).await, CommitOutcome::Busy(first.id));
    first.conclude(departure(at(1))).expect("fits");
    done(store, update(&first, 1)).await;
    done(store, insert(&second)).await;
}

async fn voice_slot_of_an_observed_leg_is_busy_too(store: &dyn Store) {
    let observed = |leg, n| {
        let mut s = monitoring("contact", "user", leg);
        (s.origin, s.channel, s.id) = (Origin::Observed, Some(Channel::Voice), id_at(0, n));
        s
    };
    let (first, second) = (observed("leg-1", 1), observed("leg-2", 2));
    done(store, insert(&second)).await;
    done(store, insert(&first)).await;
    let refused = outcome(store, insert(&requested("contact-2", "user"))).await;
    assert_eq!(refused, CommitOutcome::Busy(first.id), "names the oldest");
}

async fn voice_slot_is_taken_by_the_waiting_one_when_free(store: &dyn Store) {
    let mut first = monitoring("contact-1", "user", "leg");
    let mut waiting = requested("contact-2", "user");
    waiting.waits_for = Some(first.id);
    done(store, insert(&first)).await;
    done(store, insert(&waiting)).await;
    waiting.checks = 1;
    done(store, update(&waiting, 1)).await;
    waiting.waits_for = None;
    assert_eq!(outcome(store, update(&waiting, 2)).await, CommitOutcome::Busy(first.id));
    first.conclude(departure(at(1))).expect("fits");
    done(store, update(&first, 1)).await;
    done(store, update(&waiting, 2)).await;
    let refused = outcome(store, insert(&requested("contact-3", "user"))).await;
    assert_eq!(refused, CommitOutcome::Busy(waiting.id));
}

/// A leg that runs is a fact, so an update of it is never refused. It counts against the next request.
async fn voice_slot_of_a_running_one_may_exceed_the_limit(store: &dyn Store) {
    let mut first = monitoring("contact-1", "user", "leg-1");
    let mut chat = monitoring("contact-2", "user", "leg-2");
    chat.channel = Some(Channel::Chat);
    done(store, insert(&first)).await;
    done(store, insert(&chat)).await;
    chat.channel = Some(Channel::Voice);
    done(store, update(&chat, 1)).await;
    let waiting = requested("contact-9", "user");
    assert_eq!(
        outcome(store, insert(&waiting)).await,
        CommitOutcome::Busy(first.id),
        "names the oldest"
    );
    first.conclude(departure(at(1))).expect("fits");
    done(store, update(&first, 1)).await;
    assert_eq!(outcome(store, insert(&waiting)).await, CommitOutcome::Busy(chat.id));
    chat.supervisor.connect_user_id = Some(user("user-2"));
    let mut observed = monitoring("contact-3", "user-2", "leg-3");
    observed.origin = Origin::Observed;
    done(store, insert(&observed)).await;
    done(store, update(&chat, 2)).await;
}

mod several {
    use super::*;

    on_every_store! { disk:
        voice_slots_are_as_many_as_allowed,
        voice_slots_are_counted_again_with_another_limit,
    }

    async fn voice_slots_are_as_many_as_allowed(disk: &dyn Disk) {
        let store = &*disk.open_with_voice_legs(2).await;
        let [mut first, second, third] = ["contact-1", "contact-2", "contact-3"].map(|c| requested(c, "user"));
        done(store, insert(&first)).await;
        done(store, insert(&second)).await;
        assert_eq!(outcome(store, insert(&third)).await, CommitOutcome::Busy(first.id));
        first.start_joining(at(1)).expect("fits");
        done(store, update(&first, 1)).await;
        first.leg_given(leg("leg-1"), at(2), at(3), times()).expect("fits");
        first.conclude(departure(at(4))).expect("fits");
        done(store, update(&first, 2)).await;
        done(store, insert(&third)).await;
        let fourth = requested("contact-4", "user");
        assert_eq!(outcome(store, insert(&fourth)).await, CommitOutcome::Busy(second.id));
    }

    async fn voice_slots_are_counted_again_with_another_limit(disk: &dyn Disk) {
        let store = disk.open_with_voice_legs(2).await;
        let [first, second, third] = ["contact-1", "contact-2", "contact-3"].map(|c| requested(c, "user"));
        done(&*store, insert(&first)).await;
        done(&*store, insert(&second)).await;
        drop(store);
        let store = disk.open().await;
        assert_eq!(outcome(&*store, insert(&third)).await, CommitOutcome::Busy(first.id));
    }
}
