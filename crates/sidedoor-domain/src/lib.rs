//! The rules and terms of Sidedoor, without I/O, clocks or vendors' types.
//!
//! | module | contents |
//! |---|---|
//! | [`ids`] | ids as types, and which texts are valid ids |
//! | [`interlock`] | the types that prevent ending a customer's call |
//! | [`join_failure`] | why a join failed, as a stable code |
//! | [`moment`] | conversions between timestamps and the calibration's moments |
//! | [`trace_parent`] | the W3C trace context of a request |
//! | [`ports`] | the traits that adapters implement |
//! | [`supervision`] | one supervisor's presence on one contact, and its state machine |
//! | [`directive`] | an instruction to a supervisor's browser, and the browser's acknowledgement |
//! | [`evidence`] | one observation of a leg |
//! | [`confirmation`] | when a claim that a leg has ended is believed |
//! | [`departure`] | when and why a supervisor left, concluded from the evidence |
//! | [`participant`] | the Salesforce record of a supervision |
//! | [`rejoin`] | the rules of a jurisdiction: returning to a contact, announcing supervision |
//! | [`contact_event`], [`agent_event`] | parsers of the vendor's events |
//! | [`unusable_event`] | why an event is not used, and where it must come from |
//! | [`authority`] | which caller may do what |
//! | [`audit`] | who did what, and with which result |
//! | [`audit_chain`] | how the audit proves that it was not changed |

pub mod agent_event;
pub mod audit;
pub mod audit_chain;
pub mod authority;
mod codes;
pub mod confirmation;
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
#[cfg(test)]
mod test_support;
pub mod trace_parent;
pub mod unusable_event;
