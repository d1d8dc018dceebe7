//! A supervisor's one voice place.

use sidedoor_domain::ids::SupervisionId;
use sidedoor_domain::ports::{CommitOutcome, Store};
use sidedoor_domain::supervision::{Channel, Origin, State};

use super::on_every_store;
use super::samples::*;

on_every_store! { store:
    voice_place_that_is_busy_refuses_a_new_one,
    voice_place_is_of_one_supervisor_in_one_instance,
    voice_place_is_free_after_the_end,
    voice_place_of_an_observed_leg_is_busy_too,
    voice_place_is_taken_by_the_waiting_one_when_free,
    voice_place_is_not_taken_by_an_update_of_a_running_one,
}

async fn voice_place_that_is_busy_refuses_a_new_one(store: &dyn Store) {
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

async fn voice_place_is_of_one_supervisor_in_one_instance(store: &dyn Store) {
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

async fn voice_place_is_free_after_the_end(store: &dyn Store) {
    let mut first = monitoring("contact-1", "user", "leg");
    let second = requested("contact-2", "user");
    done(store, insert(&first)).await;
    assert_eq!(outcome(store, insert(&second)).await, CommitOutcome::Busy(first.id));
    first.conclude(departure(at(1))).expect("fits");
    done(store, update(&first, 1)).await;
    done(store, insert(&second)).await;
}

async fn voice_place_of_an_observed_leg_is_busy_too(store: &dyn Store) {
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

async fn voice_place_is_taken_by_the_waiting_one_when_free(store: &dyn Store) {
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

/// Only a REQUESTED supervision can wait, so an update of another that takes the place is a defect, which the store reports as an error.
async fn voice_place_is_not_taken_by_an_update_of_a_running_one(store: &dyn Store) {
    let first = monitoring("contact-1", "user", "leg-1");
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
        "only the first has the place"
    );
    // An observed leg in the place does not make it an error, because observed legs are facts.
    chat.supervisor.connect_user_id = Some(user("user-2"));
    let mut observed = monitoring("contact-3", "user-2", "leg-3");
    (observed.origin, observed.waits_for) = (Origin::Observed, None::<SupervisionId>);
    done(store, insert(&observed)).await;
    assert_eq!(chat.state, State::Monitoring);
    done(store, update(&chat, 2)).await;
}
