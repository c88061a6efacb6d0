//! See `any_input::environment`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| any_input::environment(input));
