//! Runs `fuzz::sqs_envelope` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::sqs_envelope(input));
