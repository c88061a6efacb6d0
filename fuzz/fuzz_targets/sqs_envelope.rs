//! See `any_input::sqs_envelope`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| any_input::sqs_envelope(input));
