//! Checks the properties for the inputs in `corpus/`, and for a limited number of randomly changed copies of them. The
//! random numbers have a fixed seed, so the inputs are the same in every run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Fragments of JSON, of stream records and of environment variables. [`Change::Insert`] inserts one of them into an
/// input.
const PIECES: [&str; 38] = [
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
    "/a",
    "[\"/a\",\"/b\"]",
    "+",
];

/// A change to an input. The first field of each variant selects the position.
#[derive(Clone, Debug)]
enum Change {
    Insert(Index, Index),
    Remove(Index, u8),
    Repeat(Index, u8),
    Byte(Index, u8),
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), any::<Index>()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        (any::<Index>(), 1..40_u8).prop_map(|(at, length)| Change::Remove(at, length)),
        (any::<Index>(), 1..40_u8).prop_map(|(at, length)| Change::Repeat(at, length)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
    ]
}

fn apply(mut input: Vec<u8>, changes: &[Change]) -> Vec<u8> {
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

/// Checks `property` for each file in the target's corpus. Then checks it for `cases` other inputs: random files of the
/// corpus, each with one to five changes.
fn check_property(target: &str, cases: u32, property: fn(&[u8])) {
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
    let changed_input = (inputs, proptest::collection::vec(any_change(), 1..6));
    let changed_input = changed_input.prop_map(|(input, changes)| apply(input, &changes));
    let result = runner.run(&changed_input, |input| {
        property(&input);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// A body has a digest if and only if every JSON parser reads it the same way. An event's claim contains the body
/// unchanged, and its object contains the body without white space between tokens.
#[test]
fn body_is_read_strictly_and_kept() {
    check_property("body", 20_000, fuzz::body);
}

/// The differences of two bodies are the first five that a comparison of the parsed bodies finds, each cut to 100
/// characters.
#[test]
fn differences_match_parsed_bodies() {
    check_property("differences", 20_000, fuzz::differences);
}

/// A record with a new claim is archived or quarantined, and no other record is archived.
#[test]
fn new_claims_are_archived_or_quarantined() {
    check_property("stream_record", 20_000, fuzz::stream_record);
}

/// A Lambda function starts if and only if its variables are well formed. Otherwise, its error names a malformed or
/// missing variable.
#[test]
fn malformed_variable_is_named() {
    check_property("variables", 20_000, fuzz::variables);
}

/// A message is acknowledged only if the table has a claim of its event.
#[test]
fn only_claimed_messages_are_acknowledged() {
    check_property("sqs_envelope", 300, fuzz::sqs_envelope);
}
