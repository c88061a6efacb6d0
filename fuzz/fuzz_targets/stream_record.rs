//! See `any_input::stream_record`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| any_input::stream_record(input));
