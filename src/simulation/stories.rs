//! Worlds that were found by hand before there was a simulation: accepted disconnects that were lost, and events that nobody at
//! AWS sent.

use sidedoor_domain::ports::Operation::{self, DescribeContact, GetCurrentUserData, MonitorContact};
use sidedoor_domain::supervision::Channel;

use super::plan::{Act, Conduct, Forgery, Outage, Plan, Step};
use super::{explain, run};

fn plan(conduct: Conduct, acts: &[(u64, Step)]) -> Plan {
    let acts = acts.iter().map(|(at_ms, step)| Act {
        at_ms: *at_ms,
        step: step.clone(),
    });
    Plan {
        seed: 1,
        conduct,
        supervisors: 2,
        contacts: 2,
        acts: acts.collect(),
    }
}

fn start(contact: usize) -> Step {
    Step::Start {
        supervisor: 0,
        contact,
        leave_current: false,
    }
}

fn disconnect(contact: usize) -> Step {
    Step::Disconnect { supervisor: 0, contact }
}

fn outage(operation: Operation, outage: Outage, for_ms: u64) -> Step {
    Step::Outage {
        operation,
        outage,
        for_ms,
    }
}

fn keeps_every_promise(plan: &Plan) {
    if let Some(violation) = run(plan, false).violations.first() {
        panic!(
            "violation of {}: {}\n{}",
            violation.rule,
            violation.detail,
            explain(plan, violation.rule)
        );
    }
}

/// The vendor makes the leg half a second after our time-out.
#[test]
fn disconnect_survives_slow_monitor_contact() {
    let acts = [
        (1000, outage(MonitorContact, Outage::Slow(3500), 1000)),
        (1100, start(0)),
        (2100, disconnect(0)),
        // Asking again must not make a second live leg.
        (5000, start(0)),
        (6000, disconnect(0)),
    ];
    keeps_every_promise(&plan(Conduct::calm(), &acts));
}

/// The supervisor listened to the chat by hand already, and Connect's answer about the second leg cannot be read. The disconnect ends
/// the second leg, which began nearer to the request. If the service took the first one for it, it ends both.
#[test]
fn disconnect_of_a_lost_join_ends_its_leg_beside_one_begun_by_hand() {
    let by_hand = Step::BeginByHand {
        supervisor: 0,
        contact: 0,
    };
    let acts = [
        (1000, outage(MonitorContact, Outage::AnswerCut, 60_000)),
        (1100, by_hand),
        (3000, start(0)),
        (14_000, disconnect(0)),
    ];
    for event_ms in [100..400, 5000..8000] {
        let conduct = Conduct {
            channel: Channel::Chat,
            event_ms,
            ..Conduct::calm()
        };
        keeps_every_promise(&plan(conduct, &acts));
    }
}

/// The answer is lost, and the vendor answers nothing for a minute.
#[test]
fn disconnect_survives_lost_answer_and_outage() {
    for for_ms in [35_000, 60_000] {
        let acts = [
            (1000, outage(MonitorContact, Outage::AnswerLost, 300)),
            (1100, start(0)),
            (1200, outage(MonitorContact, Outage::Unavailable, for_ms)),
            (1200, outage(GetCurrentUserData, Outage::Unavailable, for_ms)),
            (1200, outage(DescribeContact, Outage::Unavailable, for_ms)),
            (1300, disconnect(0)),
        ];
        keeps_every_promise(&plan(Conduct::calm(), &acts));
    }
}

/// Six hundred disconnects wait for joins without an answer when the process starts again, with the default quotas.
#[test]
fn disconnects_of_600_lost_joins_survive_restart() {
    let calls = 600;
    let mut acts = vec![Act {
        at_ms: 0,
        step: outage(MonitorContact, Outage::AnswerLost, 12_400),
    }];
    for i in 0..calls {
        let (supervisor, contact, at_ms) = (i, i, 100 + 10 * i as u64);
        acts.push(Act {
            at_ms,
            step: Step::Start {
                supervisor,
                contact,
                leave_current: false,
            },
        });
        acts.push(Act {
            at_ms: at_ms + 6000,
            step: Step::Disconnect { supervisor, contact },
        });
    }
    acts.push(Act {
        at_ms: 12_500,
        step: Step::Crash { down_ms: 1000 },
    });
    acts.sort_by_key(|act| act.at_ms);
    let conduct = Conduct {
        joins_per_second: 1000,
        ..Conduct::calm()
    };
    let plan = Plan {
        seed: 1,
        conduct,
        supervisors: calls,
        contacts: calls,
        acts,
    };
    let violations = run(&plan, false).violations;
    let count = violations.len();
    assert!(count == 0, "{count} violations, such as {:?}", violations.first());
}

/// A supervisor listens to one chat, and the answer of their second join is lost: the search must not take the first leg.
#[test]
fn disconnect_of_second_chat_finds_its_own_leg() {
    for names_contact in [true, false] {
        let acts = [
            (1000, start(0)),
            (10_000, outage(MonitorContact, Outage::AnswerLost, 300)),
            (10_100, start(1)),
            (10_200, outage(MonitorContact, Outage::Unavailable, 60_000)),
            (10_300, disconnect(1)),
            (60_000, disconnect(0)),
        ];
        let conduct = Conduct {
            channel: Channel::Chat,
            names_contact,
            ..Conduct::calm()
        };
        keeps_every_promise(&plan(conduct, &acts));
    }
}

/// The answer is cut or an HTML page: the leg lives.
#[test]
fn disconnect_survives_cut_answer() {
    let acts = [
        (1000, outage(MonitorContact, Outage::AnswerCut, 40_000)),
        (1100, start(0)),
        (3000, disconnect(0)),
        (20_000, start(0)),
        (50_000, disconnect(0)),
    ];
    keeps_every_promise(&plan(Conduct::calm(), &acts));
}

/// A vendor that hangs: no further join task begins while the first still asks.
#[test]
fn disconnect_survives_vendor_that_hangs() {
    let acts = [
        (1000, outage(MonitorContact, Outage::Hangs, 60_000)),
        (1000, outage(GetCurrentUserData, Outage::Hangs, 60_000)),
        (1100, start(0)),
        (40_000, disconnect(0)),
    ];
    keeps_every_promise(&plan(Conduct::calm(), &acts));
}

/// An event that AWS never sent says that the leg has ended.
#[test]
fn forged_end_of_leg_is_not_believed() {
    for (stamp_off_ms, lists_legs) in [(-100, true), (-3000, true), (5000, true), (-100, false)] {
        let forge = Step::Forge {
            forgery: Forgery::LegEnded,
            supervisor: 0,
            contact: 0,
            stamp_off_ms,
        };
        let acts = [(1000, start(0)), (20_000, forge), (23_000, disconnect(0))];
        let conduct = Conduct {
            lists_legs,
            ..Conduct::calm()
        };
        keeps_every_promise(&plan(conduct, &acts));
    }
}

/// An event that AWS never sent says that the customer's call has ended.
#[test]
fn forged_end_of_contact_is_not_believed() {
    let forge = Step::Forge {
        forgery: Forgery::ContactEnded,
        supervisor: 0,
        contact: 0,
        stamp_off_ms: -100,
    };
    let acts = [(1000, start(0)), (20_000, forge), (40_000, disconnect(0))];
    keeps_every_promise(&plan(Conduct::calm(), &acts));
}
