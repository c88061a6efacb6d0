//! See `any_input::body`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| any_input::body(input));
