//! TODO-AREA-DOC

pub mod adopt_leg;
pub mod carrier_events;
pub mod contact_events;
pub mod evaluate;
