//! The rules and the words of Sidedoor, and nothing else: no I/O, no clock, no vendor type.
//!
//! | file | story |
//! |---|---|
//! | [`ids`] | what things are called, and which names are acceptable |
//! | [`interlock`] | why no code path can end a customer's call |
//! | [`join_failure`] | why a join failed, as a stable code |
//! | [`supervision`] | one supervisor's presence on one contact, and its state machine |
//! | [`directive`] | what a supervisor's browser is asked to do, and what it answers |
//! | [`evidence`] | one observation of a leg's life |
//! | [`departure`] | the conclusion drawn from evidence |
//! | [`participant`] | the row a supervision becomes in Salesforce |
//! | [`rejoin`] | coming back to a contact, and what a jurisdiction asks of supervision |
//! | [`contact_event`], [`agent_event`] | the vendor's events, read tolerantly |
//! | [`authority`] | who may do what |
//! | [`audit`] | who did what, and what came of it |

pub mod agent_event;
pub mod audit;
pub mod authority;
mod codes;
pub mod contact_event;
pub mod departure;
pub mod directive;
pub mod evidence;
pub mod ids;
pub mod interlock;
pub mod join_failure;
pub mod moment;
pub mod participant;
pub mod ports;
pub mod rejoin;
pub mod supervision;
pub mod trace_parent;
