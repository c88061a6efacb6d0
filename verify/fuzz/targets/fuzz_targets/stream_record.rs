//! Runs `fuzz::stream_record` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::stream_record(input));
