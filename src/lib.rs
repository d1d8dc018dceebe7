//! **Sidedoor** lets a supervisor join a live Amazon Connect contact and leave it again by the side door: the customer and
//! the agent keep talking, and the moment the supervisor left stands in Salesforce with its uncertainty.
//!
//! # The app
//!
//! Data walks in at the front door, through a flow, over the ports, and out; nothing walks back.
//!
//! | room | what is in it | may import |
//! |---|---|---|
//! | [`domain`] | pure rules and words: ids, the state machine, the interlock, evidence, departures | nothing of ours |
//! | [`timing`] | pure: the vendor-clock calibrator; from bracket and stamps to an honest instant | nothing of ours |
//! | [`ports`] | what the flows need: Telephony, Crm, Store, Clock | domain, timing |
//! | [`flows`] | the use cases, a file a story | domain, timing, ports |
//! | [`connect`] | Amazon Connect behind Telephony; alone knows `aws_*` | domain, ports, its config |
//! | [`salesforce`] | Salesforce behind Crm; alone knows `oauth2` | domain, ports, its config |
//! | [`store`] | SQLite behind Store; alone knows `sqlx` | domain, ports |
//! | [`clock`] | the machine's clock behind Clock | ports |
//! | [`http`] | the front door, a file an operation | flows, domain |
//! | [`fakes`] | stand-ins for both vendors on real sockets; never the adapters they stand opposite to | domain |
//! | [`config`] | settings, every problem told at once | domain |
//! | [`lifecycle`], [`telemetry`] | the process's life; logs | |
//! | [`app`] | the composition root | everything |
//! | [`demo`] | the main job played end to end | app, fakes |
//! | [`check`] | `sidedoor check`: does everything stand that is needed? | config, connect, domain, store, ports, salesforce |
//! | [`timing_report`] | `sidedoor timing`: simulate, explain, replay | config, domain, store, timing |
//!
//! `tests/it/architecture.rs` enforces this table.
//!
//! # Invariants
//!
//! 1. **No code path ends a customer's contact.** A `LegId` is made only by the interlock; StopContact takes what the
//!    interlock cleared, and is called in one file. See [`domain::interlock`].
//! 2. **Write-ahead.** What a 2xx promises is on disk before it is sent; a vendor is called only after the intention, with
//!    its ClientToken, is on disk. A restart repeats the same call, not a new one. See [`flows::resume`].
//! 3. **One change, one transaction.** State, evidence, delivery, idempotency key and audit stand together or not at all.
//!    See [`ports::store`].
//! 4. **Evidence concludes, requests do not.** A supervision is LEFT when the vendor's evidence says so; an answer of 200,
//!    or a browser's DONE, is only a reason to look. See [`domain::departure`].
//! 5. **One layer of retries**, in the flows; adapters make one attempt and say in the error what may be done.
//! 6. **Every queue, body, loop and wait has a bound.**

#![warn(missing_docs)]

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connect;
pub mod http;
pub mod lifecycle;
pub mod salesforce;
pub mod store;
pub mod telemetry;
pub mod usecases;
