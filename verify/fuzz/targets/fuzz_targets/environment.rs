//! See `fuzz::environment`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::environment(input));
