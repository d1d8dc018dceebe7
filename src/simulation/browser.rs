//! A supervisor's browser: it polls for directives, carries them out in the CCP and acknowledges them, or does not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sidedoor_domain::authority::{Caller, Scope};
use sidedoor_domain::directive::{AckOutcome, DirectiveKind};
use sidedoor_domain::ids::DirectiveId;

use super::plan::BrowserConduct;
use super::vendor::EndedBy;
use super::world::{World, lock, supervisor};
use crate::usecases::RequestContext;
use crate::usecases::directives::acknowledge::DirectiveAnswer;
use crate::usecases::directives::feed::{DirectiveEvent, DirectiveListener};

/// How often the browser polls; less often when nothing is likely to happen, because polls are most of a world's work.
const POLL: Duration = Duration::from_millis(700);
const CALM_POLL: Duration = Duration::from_secs(15);

/// Runs the browser of one supervisor until the world ends.
pub(super) async fn run(world: Arc<World>, i: usize) {
    let mut done: BTreeSet<DirectiveId> = BTreeSet::new();
    let mut after = None;
    loop {
        tokio::time::sleep(if world.is_busy() { POLL } else { CALM_POLL }).await;
        let conduct = world.browser_conduct(i);
        if conduct == BrowserConduct::Vanished {
            // It comes back without memory, as after a reload.
            after = None;
            continue;
        }
        let listener = DirectiveListener {
            user: supervisor(i),
            instance: None,
            after,
            acts: true,
            tab: None,
        };
        let request = request(i);
        let polled = world
            .on_process(|usecases| async move { usecases.directives.poll_directives(&listener, &request).await })
            .await;
        let Some(Ok((events, next))) = polled else {
            // The service is not reached: the browser asks for everything that is open.
            after = None;
            continue;
        };
        after = Some(next);
        for event in events.into_iter().filter(|e| e.act) {
            if done.insert(event.directive.id) {
                obey(&world, i, conduct, event).await;
            }
        }
    }
}

fn request(i: usize) -> RequestContext {
    let caller = Caller::new(format!("browser-{i}"), vec![Scope::Supervise]).naming(Some(supervisor(i)));
    World::request(caller, None)
}

async fn obey(world: &Arc<World>, i: usize, conduct: BrowserConduct, event: DirectiveEvent) {
    if event.directive.kind != DirectiveKind::EndLegInCcp {
        return;
    }
    let Some(leg) = event.supervision.leg.clone() else {
        return;
    };
    tokio::time::sleep(Duration::from_millis(world.plan.conduct.browser_ms)).await;
    let outcome = match conduct {
        BrowserConduct::Vanished => return,
        BrowserConduct::Fails => AckOutcome::Failed,
        BrowserConduct::Lies => {
            lock(&world.lies).insert(event.supervision.id);
            AckOutcome::Done
        }
        BrowserConduct::Obeys | BrowserConduct::Silent => match world.vendor.end_leg(world, leg.as_str(), EndedBy::Ccp)
        {
            true => AckOutcome::Done,
            false => AckOutcome::AlreadyGone,
        },
    };
    if conduct == BrowserConduct::Silent {
        return;
    }
    for _ in 0..5 {
        let answer = DirectiveAnswer {
            directive: event.directive.id,
            outcome,
            at: None,
            detail: None,
        };
        let (id, request) = (event.supervision.id, request(i));
        let acknowledged = world
            .on_process(|usecases| async move { usecases.directives.acknowledge(id, answer, &request).await })
            .await;
        if let Some(Ok(_)) = acknowledged {
            world.note(|| format!("browser {i} acknowledges {outcome:?}"));
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}
