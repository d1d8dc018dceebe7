//! What the stories share: a whole house to test in, and the contract to hold its answers against.

pub mod house;
pub mod openapi;
