//! Invented worlds in which the truth is known: how good is the calibrator, beside simpler ones and an oracle?
//!
//! | file | story |
//! |---|---|
//! | [`scenario`] | what is true of each world |
//! | [`world`] | a world unrolled by a seed: what reached us, and when |
//! | [`run`] | the world played through the real calibrator and estimate |
//! | [`baselines`] | what others would do with the same samples |
//! | [`report`], [`plot`] | the table with its reach, the picture |

pub mod baselines;
pub mod plot;
pub mod report;
pub mod run;
pub mod scenario;
pub mod world;
