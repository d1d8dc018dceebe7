//! What must hold in every world. The service never sees the truth; these checks do.

use std::sync::{Arc, PoisonError};

use sidedoor_domain::confirmation::Confirmation;
use sidedoor_domain::departure::{AliveBy, Reason};
use sidedoor_domain::ids::ClientToken;
use sidedoor_domain::participant::ParticipantRecord;
use sidedoor_domain::ports::Transaction;
use sidedoor_domain::ports::store::{Filter, RecordState, StoredSupervision, SupervisionStore as _, SupervisionWrite};
use sidedoor_domain::supervision::{AMAZON_CONNECT, State};

use super::time::TrueTime;
use super::vendor::{EndedBy, SimLeg};
use super::world::{World, listens, lock};
use crate::store::memory::{MemoryStore, NoFaults};

/// The most supervisions of a world that are checked.
const MOST: u32 = 1000;

/// Nothing false is committed: a supervision is LEFT only if its leg has ended, and FAILED only if it has no leg.
pub(super) fn check_commit(world: &Arc<World>, change: &Transaction) {
    let Some(SupervisionWrite::Update(s, _)) = &change.supervision else {
        return;
    };
    let token = ClientToken::of(s.id);
    let state = world.vendor.state();
    let of_token = |leg: &&SimLeg| leg.token.as_deref() == Some(token.as_str());
    let asked_for = state
        .legs
        .values()
        .find(of_token)
        .filter(|leg| leg.is_live())
        .map(|leg| leg.id.clone());
    let known = s.leg.as_ref().and_then(|leg| state.legs.get(leg.as_str()));
    let ended = known.is_none_or(|leg| !leg.is_live());
    drop(state);
    match (s.state, asked_for) {
        (State::Left, _) => {
            let mut noticed = world.noticed.lock().unwrap_or_else(PoisonError::into_inner);
            let is_new = noticed.insert(s.id, world.truth.ms()).is_none();
            drop(noticed);
            let two_senders = s
                .departure
                .as_ref()
                .is_some_and(|d| d.confirmation == Confirmation::TwoSenders);
            // If both senders are false, the question that follows must find it out; see `check_end`.
            let believed = two_senders && world.was_lied_to(s.id);
            if is_new && !ended && !believed {
                world.violated(
                    "false_departure",
                    format!("{} becomes LEFT while its leg is alive", s.id),
                );
            }
        }
        (State::Failed, Some(leg)) => {
            world.violated(
                "outcome_wrong",
                format!("{} becomes FAILED while its {leg} is alive", s.id),
            );
        }
        _ => {}
    }
}

/// The alarm says that we ended a customer's call. In these worlds no leave ends a call.
pub(super) fn check_alarm(world: &Arc<World>) {
    world.note(|| "the alarm: a customer's call ended");
}

/// What must hold when the world has been calm for long.
pub(super) async fn check_end(world: &Arc<World>) {
    let store = MemoryStore::open(world.disk.clone(), Arc::new(NoFaults));
    let filter = Filter {
        limit: MOST,
        ..Filter::default()
    };
    let Ok(all) = store.list(&filter).await else {
        return world.violated("store", "the store cannot be read".into());
    };
    for stored in &all {
        check_supervision(world, stored);
    }
    world.check_carrier_legs(&all);
    check_disconnects(world, &all);
    check_legs(world, &all);
}

fn leg_of(world: &World, stored: &StoredSupervision) -> Option<SimLeg> {
    let state = world.vendor.state();
    let leg = stored.supervision.leg.as_ref()?;
    state.legs.get(leg.as_str()).cloned()
}

fn check_supervision(world: &World, stored: &StoredSupervision) {
    let s = &stored.supervision;
    // No supervisor barges in in these worlds.
    if s.has_barged {
        world.violated("mode_wrong", format!("{} has barged in", s.id));
    }
    let leg = leg_of(world, stored);
    match (s.state, leg.as_ref().map(|l| l.ended)) {
        // See `World::check_carrier_legs`.
        _ if s.vendor != AMAZON_CONNECT => {}
        (State::Left, Some(Some((ended, _)))) => {
            lock(&world.ended_legs).insert(s.id, ended);
            check_departure(world, stored, ended);
        }
        (State::Left, _) => world.violated("false_departure", format!("{} is LEFT, its leg is alive", s.id)),
        (state, Some(Some((ended, by)))) if listens(state) => {
            world.violated(
                "end_unnoticed",
                format!("{} is {}, its leg ended at {ended} ms by {by:?}", s.id, state.as_str()),
            );
        }
        _ => {}
    }
    let Some(sync) = &stored.record_sync else {
        if s.leg.is_some() {
            world.violated("record_missing", format!("{} has a leg and no record", s.id));
        }
        return;
    };
    let newest = ParticipantRecord::of(s, sync.version);
    let written = newest.as_ref().and_then(|r| world.crm.record(&r.leg_key));
    if sync.state != RecordState::Written || written != newest {
        world.violated(
            "record_outdated",
            format!("{}: record {:?} of version {}", s.id, sync.state, sync.version),
        );
    }
}

/// The interval of a departure contains the truth.
fn check_departure(world: &World, stored: &StoredSupervision, ended: i64) {
    let (s, truth) = (&stored.supervision, TrueTime::at(ended));
    let Some(departure) = &s.departure else {
        return world.violated("departure_missing", format!("{} is LEFT without a departure", s.id));
    };
    let contact_ended = s.contact.as_ref().is_some_and(|contact| {
        let state = world.vendor.state();
        state.contacts.get(contact.as_str()).is_some_and(|c| c.ended.is_some())
    });
    if departure.reason == Reason::ContactEnded && !contact_ended {
        world.violated(
            "reason_wrong",
            format!("{} is CONTACT_ENDED, its contact is alive", s.id),
        );
    }
    // A false carrier may agree with a forged event, or a false browser move the lower bound. The service cannot know it.
    let by_browser = departure.basis.alive_by == Some(AliveBy::Browser) && world.was_lied_to(s.id);
    if by_browser || lock(&world.carrier_lies).contains(&s.id) {
        return;
    }
    let contains = |truth| departure.earliest.is_none_or(|t| t <= truth) && truth <= departure.latest;
    if departure.uncertainty_ms.is_some() && !world.our_readings(truth).any(contains) {
        world.violated(
            "departure_wrong",
            format!(
                "{}: {:?} to {} does not contain {truth}",
                s.id, departure.earliest, departure.latest
            ),
        );
    }
}

/// An accepted disconnect ends the leg, or there never was one.
fn check_disconnects(world: &World, all: &[StoredSupervision]) {
    let asked = world
        .promises
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .disconnects
        .clone();
    for id in asked {
        let Some(stored) = all.iter().find(|s| s.supervision.id == id) else {
            world.violated("command_lost", format!("{id} was accepted and is not stored"));
            continue;
        };
        let token = ClientToken::of(id);
        let state = world.vendor.state();
        let alive = state
            .legs
            .values()
            .find(|l| l.is_live() && l.token.as_deref() == Some(token.as_str()));
        let alive = alive.or_else(|| {
            let leg = stored.supervision.leg.as_ref()?;
            state.legs.get(leg.as_str()).filter(|l| l.is_live())
        });
        let alive = alive.map(|l| l.id.clone());
        drop(state);
        if let Some(leg) = alive {
            let state = stored.supervision.state.as_str();
            world.violated("disconnect_lost", format!("{id} is {state}; {leg} is alive"));
        }
    }
}

/// Every leg that we asked for has a supervision, and every start one outcome.
fn check_legs(world: &World, all: &[StoredSupervision]) {
    let legs: Vec<SimLeg> = world.vendor.state().legs.values().cloned().collect();
    for leg in legs {
        let owners = all
            .iter()
            .filter(|s| s.supervision.leg.as_ref().is_some_and(|l| l.as_str() == leg.id))
            .count();
        let ours = leg.token.is_some();
        // A leg that was over before anybody could see it may stay unknown.
        let seen = leg.is_live() || !matches!(leg.ended, Some((_, EndedBy::Contact | EndedBy::Ccp)));
        if owners > 1 || (ours && seen && owners == 0) {
            world.violated(
                "leg_owners",
                format!("{} of {} has {owners} supervisions", leg.id, leg.user),
            );
        }
        let asked = leg
            .token
            .as_deref()
            .and_then(|token| all.iter().find(|s| s.supervision.id.to_string() == token));
        if leg.is_live()
            && let Some(stored) = asked.filter(|s| s.supervision.state == State::Failed)
        {
            world.violated(
                "outcome_wrong",
                format!("{} is FAILED; its {} is alive", stored.supervision.id, leg.id),
            );
        }
    }
    let starts = world
        .promises
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .starts
        .clone();
    for id in starts {
        match all.iter().find(|s| s.supervision.id == id) {
            None => world.violated("command_lost", format!("{id} was accepted and is not stored")),
            Some(s) if s.supervision.state == State::Requested => {
                world.violated("start_stuck", format!("{id} is still REQUESTED"));
            }
            Some(_) => {}
        }
    }
}
