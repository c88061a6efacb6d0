//! The inputs in `corpus/`, and a bounded number of others made from them, the same ones in each run.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// What JSON, records and variables are made of.
const PIECES: [&str; 36] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ":",
    ",",
    " ",
    "\n",
    "\\",
    "\\u0061",
    "\\ud83d\\ude00",
    "\\ud800",
    "\u{e9}",
    "\u{0}",
    "0",
    "-0",
    "1.0",
    "1e400",
    "123456789012345678901234567890",
    "null",
    "true",
    "\"event_id\":\"a\"",
    "\"\":",
    "{\"a\":",
    "\"CLAIM\"",
    "\"INSERT\"",
    "\"MODIFY\"",
    "\"REMOVE\"",
    "{\"S\":\"\"}",
    "{\"N\":\"1\"}",
    "{\"B\":\"AAAA\"}",
    "=",
    "/",
    "~1",
    "+",
];

/// One change to an input.
#[derive(Clone, Debug)]
enum Change {
    Insert(Index, Index),
    Remove(Index, u8),
    Repeat(Index, u8),
    Byte(Index, u8),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), any::<Index>()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (any::<Index>(), 1..40_u8).prop_map(|(at, length)| Change::Remove(at, length)),
        (any::<Index>(), 1..40_u8).prop_map(|(at, length)| Change::Repeat(at, length)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
    ]
}

fn changed(mut input: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let at = |index: &Index| index.index(input.len() + 1);
        let range = |index: &Index, length: u8| {
            let start = at(index);
            start..input.len().min(start + usize::from(length))
        };
        match change {
            Change::Insert(index, piece) => {
                let (at, piece) = (at(index), piece.get(&PIECES));
                input.splice(at..at, piece.bytes());
            }
            Change::Remove(index, length) => drop(input.drain(range(index, *length))),
            Change::Repeat(index, length) => {
                let range = range(index, *length);
                let repeated = input[range.clone()].to_vec();
                input.splice(range.end..range.end, repeated);
            }
            Change::Byte(index, byte) => {
                let at = at(index);
                if let Some(old) = input.get_mut(at) {
                    *old = *byte;
                }
            }
        }
    }
    input
}

fn holds_of_any(target: &str, cases: u32, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let inputs: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(!inputs.is_empty());
    for input in &inputs {
        property(input);
    }

    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let inputs = proptest::sample::select(inputs);
    let made = (inputs, proptest::collection::vec(change(), 1..6));
    let made = made.prop_map(|(input, changes)| changed(input, &changes));
    let result = runner.run(&made, |input| {
        property(&input);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn bodies_are_accepted_if_every_reader_reads_them_alike_and_keep_what_they_say() {
    holds_of_any("body", 20_000, fuzz::body);
}

#[test]
fn stream_records_of_new_claims_are_archived_or_kept_and_no_others() {
    holds_of_any("stream_record", 20_000, fuzz::stream_record);
}

#[test]
fn variables_are_accepted_if_they_are_well_formed_and_named_if_not() {
    holds_of_any("variables", 20_000, fuzz::variables);
}

#[test]
fn messages_are_acknowledged_only_if_their_event_is_claimed() {
    holds_of_any("sqs_envelope", 300, fuzz::sqs_envelope);
}
