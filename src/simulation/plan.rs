//! What happens in one simulated world: how the vendor, the network and the browsers behave, and what people do when. A plan
//! follows from its seed, and a failing plan shrinks by leaving parts out.

use std::fmt;
use std::ops::Range;

use sidedoor_domain::ports::Operation;
use sidedoor_domain::supervision::Channel;

/// How many supervisors and contacts a random world has.
const SUPERVISORS: usize = 3;
const CONTACTS: usize = 3;
/// People act within this time, ms. Afterwards the world is calm and the service has time to finish.
const BUSY_MS: u64 = 90_000;

/// How the vendor, the network and the disk behave, all through the busy time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conduct {
    /// The channel of every contact.
    pub(super) channel: Channel,
    /// How long a call takes before and after its effect, ms.
    pub(super) call_ms: Range<u64>,
    /// How long after MonitorContact the supervisor's CCP connects the leg, ms.
    pub(super) connect_ms: u64,
    /// The vendor's clock: offset, ms; drift, ppm; granularity of its timestamps, ms.
    pub(super) offset_ms: i64,
    pub(super) drift_ppm: i64,
    pub(super) granularity_ms: i64,
    /// How old the data of a GetCurrentUserData may be, ms. Each answer has an age of its own, so that answers go back.
    pub(super) staleness_ms: u64,
    /// How late DescribeContact shows a change, ms.
    pub(super) describe_lag_ms: u64,
    /// How long GetCurrentUserData still lists a contact that ended, as ENDED, ms.
    pub(super) ended_lingers_ms: u64,
    /// Whether GetCurrentUserData lists MONITOR contacts, and users without contacts.
    pub(super) lists_legs: bool,
    pub(super) lists_idle_users: bool,
    /// Whether events and GetCurrentUserData say MONITOR; otherwise InitiationMethod is empty.
    pub(super) says_monitor: bool,
    /// Whether the vendor says when a supervisor was connected.
    pub(super) says_connected: bool,
    /// Whether a leg names the contact that it monitors.
    pub(super) names_contact: bool,
    /// How late an event comes, ms, and how many of a hundred are lost or doubled.
    pub(super) event_ms: Range<u64>,
    pub(super) event_loss: u64,
    pub(super) event_doubled: u64,
    /// How many of a hundred calls fail, and how many of a thousand commits.
    pub(super) call_faults: u64,
    pub(super) commit_faults: u64,
    /// How many of ten thousand awaits of a store or vendor call are the process's last.
    pub(super) crashes: u64,
    /// How many MonitorContact calls a second the service may make.
    pub(super) joins_per_second: u32,
    /// How long a browser needs to act, ms.
    pub(super) browser_ms: u64,
    /// The error of our own clock: offset, ms, and drift, ppm. Together they stay within `clock.max_error_ms`.
    pub(super) own_offset_ms: i64,
    pub(super) own_drift_ppm: i64,
}

impl Conduct {
    /// A vendor and a network that do what one hopes.
    pub(super) fn calm() -> Self {
        Self {
            channel: Channel::Voice,
            call_ms: 10..60,
            connect_ms: 50,
            offset_ms: 0,
            drift_ppm: 0,
            granularity_ms: 1000,
            staleness_ms: 0,
            describe_lag_ms: 0,
            ended_lingers_ms: 0,
            lists_legs: true,
            lists_idle_users: true,
            says_monitor: true,
            says_connected: true,
            names_contact: true,
            event_ms: 100..400,
            event_loss: 0,
            event_doubled: 0,
            call_faults: 0,
            commit_faults: 0,
            crashes: 0,
            joins_per_second: 2,
            browser_ms: 200,
            own_offset_ms: 0,
            own_drift_ppm: 0,
        }
    }

    fn random(rng: &mut fastrand::Rng) -> Self {
        let rarely = |rng: &mut fastrand::Rng, value: u64| if rng.u8(0..3) == 0 { value } else { 0 };
        let slow = rng.u64(0..4) == 0;
        Self {
            channel: if rng.u8(0..4) == 0 {
                Channel::Chat
            } else {
                Channel::Voice
            },
            call_ms: if slow { 50..900 } else { 5..80 },
            connect_ms: rng.u64(20..1500),
            offset_ms: rng.i64(-3000..3000),
            drift_ppm: rng.i64(-80..80),
            granularity_ms: [1, 1000, 1000][rng.usize(0..3)],
            staleness_ms: [0, 0, 500, 2000][rng.usize(0..4)],
            describe_lag_ms: [0, 0, 0, 700, 2000][rng.usize(0..5)],
            ended_lingers_ms: [0, 0, 5000][rng.usize(0..3)],
            lists_legs: rng.u8(0..5) != 0,
            lists_idle_users: rng.bool(),
            says_monitor: rng.u8(0..5) != 0,
            says_connected: rng.u8(0..5) != 0,
            names_contact: rng.u8(0..5) != 0,
            event_ms: if rng.u8(0..4) == 0 { 100..8000 } else { 80..600 },
            event_loss: [0, 0, 10, 100][rng.usize(0..4)],
            event_doubled: rng.u64(0..20),
            call_faults: {
                let some = rng.u64(1..15);
                rarely(rng, some)
            },
            commit_faults: {
                let some = rng.u64(1..10);
                rarely(rng, some)
            },
            crashes: {
                let some = rng.u64(1..30);
                rarely(rng, some)
            },
            joins_per_second: 2,
            browser_ms: rng.u64(50..2000),
            own_offset_ms: rng.i64(-20..20),
            own_drift_ppm: rng.i64(-10..10),
        }
    }
}

/// How a supervisor's browser treats a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BrowserConduct {
    Obeys,
    /// It answers FAILED.
    Fails,
    /// It is closed.
    Vanished,
    /// It answers DONE and has done nothing.
    Lies,
    /// It ends the leg and its answer is lost.
    Silent,
}

/// How the calls of one operation fail for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outage {
    /// The effect comes this late, ms.
    Slow(u64),
    /// The call has its effect and its answer is lost.
    AnswerLost,
    /// The call has its effect and its answer is cut, or an HTML page.
    AnswerCut,
    /// 503 without effect.
    Unavailable,
    /// 429.
    Throttled,
    /// Nothing comes.
    Hangs,
    /// 403.
    Denied,
    /// DescribeContact does not find what there is.
    NotFound,
}

/// The content of a forged event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forgery {
    /// The supervisor's leg has ended.
    LegEnded,
    /// The customer's contact has ended.
    ContactEnded,
    /// The supervisor has barged in, by another agent's event.
    BargedIn,
    /// A leg that does not exist.
    UnknownLeg,
    /// The supervisor's leg has ended, by a carrier's word.
    CarrierClaim,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Start {
        supervisor: usize,
        contact: usize,
        leave_current: bool,
    },
    Disconnect {
        supervisor: usize,
        contact: usize,
    },
    DisconnectAll {
        supervisor: usize,
    },
    LeaveByHand {
        supervisor: usize,
    },
    BeginByHand {
        supervisor: usize,
        contact: usize,
    },
    HangUp {
        contact: usize,
    },
    Transfer {
        contact: usize,
    },
    Browser {
        supervisor: usize,
        conduct: BrowserConduct,
    },
    Outage {
        operation: Operation,
        outage: Outage,
        for_ms: u64,
    },
    Forge {
        forgery: Forgery,
        supervisor: usize,
        contact: usize,
        stamp_off_ms: i64,
    },
    Crash {
        down_ms: u64,
    },
    /// The supervisor listens through a leg of a carrier's own.
    CarrierLeg {
        supervisor: usize,
        for_ms: u64,
    },
    /// This machine's clock is corrected.
    CorrectOwnClock {
        by_ms: i64,
    },
}

/// A step and its time, ms after the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Act {
    pub(super) at_ms: u64,
    pub(super) step: Step,
}

/// Everything that happens in one world.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) conduct: Conduct,
    pub(super) supervisors: usize,
    pub(super) contacts: usize,
    /// In the order of their times.
    pub(super) acts: Vec<Act>,
}

impl Plan {
    pub(super) fn of_seed(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5EED_51DE_D00A_u64);
        let conduct = Conduct::random(&mut rng);
        let mut acts = Vec::new();
        let count = rng.usize(3..14);
        for _ in 0..count {
            let at_ms = rng.u64(0..BUSY_MS);
            let (supervisor, contact) = (rng.usize(0..SUPERVISORS), rng.usize(0..CONTACTS));
            match rng.u8(0..23) {
                0..8 => {
                    // Most stories are a start and an end of the same supervisor.
                    let leave_current = rng.u8(0..6) == 0;
                    acts.push(Act {
                        at_ms,
                        step: Step::Start {
                            supervisor,
                            contact,
                            leave_current,
                        },
                    });
                    let later = at_ms + [rng.u64(0..4000), rng.u64(1000..40_000)][rng.usize(0..2)];
                    let step = match rng.u8(0..6) {
                        0..3 => Step::Disconnect { supervisor, contact },
                        3 => Step::DisconnectAll { supervisor },
                        4 => Step::LeaveByHand { supervisor },
                        _ => Step::HangUp { contact },
                    };
                    acts.push(Act { at_ms: later, step });
                }
                8..10 => {
                    let conducts = [
                        BrowserConduct::Fails,
                        BrowserConduct::Vanished,
                        BrowserConduct::Lies,
                        BrowserConduct::Silent,
                        BrowserConduct::Obeys,
                    ];
                    let conduct = conducts[rng.usize(0..conducts.len())];
                    acts.push(Act {
                        at_ms,
                        step: Step::Browser { supervisor, conduct },
                    });
                }
                10..14 => {
                    let (operation, outage) = random_outage(&mut rng);
                    let for_ms = rng.u64(500..60_000);
                    acts.push(Act {
                        at_ms,
                        step: Step::Outage {
                            operation,
                            outage,
                            for_ms,
                        },
                    });
                }
                14..17 => {
                    let forgeries = [
                        Forgery::LegEnded,
                        Forgery::LegEnded,
                        Forgery::ContactEnded,
                        Forgery::BargedIn,
                        Forgery::UnknownLeg,
                        Forgery::CarrierClaim,
                    ];
                    let forgery = forgeries[rng.usize(0..forgeries.len())];
                    let stamp_off_ms = rng.i64(-6000..6000);
                    acts.push(Act {
                        at_ms,
                        step: Step::Forge {
                            forgery,
                            supervisor,
                            contact,
                            stamp_off_ms,
                        },
                    });
                }
                17 => acts.push(Act {
                    at_ms,
                    step: Step::BeginByHand { supervisor, contact },
                }),
                18 => acts.push(Act {
                    at_ms,
                    step: Step::Transfer { contact },
                }),
                19 => acts.push(Act {
                    at_ms,
                    step: Step::CarrierLeg {
                        supervisor,
                        for_ms: rng.u64(500..60_000),
                    },
                }),
                20 => acts.push(Act {
                    at_ms,
                    step: Step::CorrectOwnClock {
                        by_ms: rng.i64(-1900..1900),
                    },
                }),
                // Longer than `claim_patience_s`, so that a record has the claimed time.
                21 => {
                    let for_ms = rng.u64(70_000..160_000);
                    for operation in [Operation::DescribeContact, Operation::GetCurrentUserData] {
                        let outage = Outage::Unavailable;
                        acts.push(Act {
                            at_ms,
                            step: Step::Outage {
                                operation,
                                outage,
                                for_ms,
                            },
                        });
                    }
                }
                _ => acts.push(Act {
                    at_ms,
                    step: Step::Crash {
                        down_ms: rng.u64(50..20_000),
                    },
                }),
            }
        }
        acts.sort_by_key(|act| act.at_ms);
        Self {
            seed,
            conduct,
            supervisors: SUPERVISORS,
            contacts: CONTACTS,
            acts,
        }
    }

    /// Plans that are a little smaller: each leaves one thing out.
    pub(super) fn smaller(&self) -> Vec<Self> {
        let without = |i| {
            let mut smaller = self.clone();
            smaller.acts.remove(i);
            smaller
        };
        let mut all: Vec<Self> = (0..self.acts.len()).map(without).collect();
        let calm = Conduct::calm();
        let mut calmer = |change: &dyn Fn(&mut Conduct)| {
            let mut smaller = self.clone();
            change(&mut smaller.conduct);
            if smaller != *self {
                all.push(smaller);
            }
        };
        calmer(&|c| c.crashes = 0);
        calmer(&|c| c.commit_faults = 0);
        calmer(&|c| c.call_faults = 0);
        calmer(&|c| c.event_doubled = 0);
        calmer(&|c| c.event_loss = 0);
        calmer(&|c| c.event_ms = calm.event_ms.clone());
        calmer(&|c| c.call_ms = calm.call_ms.clone());
        calmer(&|c| c.staleness_ms = 0);
        calmer(&|c| c.describe_lag_ms = 0);
        calmer(&|c| c.ended_lingers_ms = 0);
        calmer(&|c| c.lists_legs = true);
        calmer(&|c| c.lists_idle_users = true);
        calmer(&|c| c.says_monitor = true);
        calmer(&|c| c.says_connected = true);
        calmer(&|c| c.names_contact = true);
        calmer(&|c| (c.offset_ms, c.drift_ppm) = (0, 0));
        calmer(&|c| (c.own_offset_ms, c.own_drift_ppm) = (0, 0));
        calmer(&|c| c.connect_ms = calm.connect_ms);
        calmer(&|c| c.browser_ms = calm.browser_ms);
        calmer(&|c| c.channel = Channel::Voice);
        all
    }
}

fn random_outage(rng: &mut fastrand::Rng) -> (Operation, Outage) {
    use Operation::{DescribeContact, GetCurrentUserData, MonitorContact, StopContact};
    let operation = [
        MonitorContact,
        MonitorContact,
        DescribeContact,
        GetCurrentUserData,
        StopContact,
    ][rng.usize(0..5)];
    let outage = match rng.u8(0..8) {
        0 | 1 => Outage::Slow(rng.u64(1000..6000)),
        2 => Outage::AnswerLost,
        3 => Outage::AnswerCut,
        4 => Outage::Unavailable,
        5 => Outage::Throttled,
        6 => Outage::Hangs,
        _ if operation == DescribeContact => Outage::NotFound,
        _ => Outage::Denied,
    };
    (operation, outage)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {:?}", self.seed, self.conduct)?;
        for act in &self.acts {
            writeln!(f, "  {:>6} ms  {:?}", act.at_ms, act.step)?;
        }
        Ok(())
    }
}
