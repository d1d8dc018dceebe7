//! The fuzzer: libFuzzer feeds the target that `FUZZ_TARGET` names. One binary for all targets, because each binary links the whole service.

#![no_main]

mod targets;

use std::sync::OnceLock;

static TARGET: OnceLock<targets::Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        let (_, target) = targets::ALL.iter().find(|(n, _)| *n == name).expect("there is such a target");
        TARGET.set(*target).expect("set once");
    },
    |data: &[u8]| {
        if let Some(target) = TARGET.get() {
            target(data);
        }
    }
);
