//! TODO-AREA-DOC

pub mod compare;
pub mod dead_letters;
pub mod deliver;
pub mod failure_scope;
pub mod rate;
pub mod voice_calls;
