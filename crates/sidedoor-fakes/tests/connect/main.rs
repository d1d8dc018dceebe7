//! The fake Connect over HTTP, with signed requests: its settings for what AWS does not document, its faults and its events.

mod departures;
mod events;
mod faults;
mod search;
mod support;
mod transfers;
mod uncertain_sources;
