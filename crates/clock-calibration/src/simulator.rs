//! Simulated worlds in which the truth is known: how good is the calibrator compared with simpler estimators and an
//! oracle?
//!
//! | module | contains |
//! |---|---|
//! | [`scenario`] | the true properties of each world |
//! | `world` | a world generated from a seed: what reached us, and when |
//! | [`run`] | plays a world through the real calibrator and [`crate::estimate`] |
//! | `baselines` | other estimators on the same samples |
//! | [`report`], [`plot`] | the table with its targets, and the picture |
//! | [`hard_worlds`] | worlds with many troubles, generated from a seed over ranges |

mod baselines;
pub mod hard_worlds;
pub mod plot;
pub mod report;
pub mod run;
pub mod scenario;
mod world;

pub use crate::polygon::{Cut, HalfPlane, Polygon};
