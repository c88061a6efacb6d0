//! The claim item and the object that it becomes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, SystemTime};

use claim::body::{MAX_BODY_BYTES, WRITE_UNIT_BYTES};
use claim::record::MAX_ITEM_BYTES;
use claim::{Body, Claim, ClaimError, Event, EventIdPointer, ObjectPrefix, ObjectPrefixError, object};
use proptest::prelude::*;
use serde_dynamo::AttributeValue;

const MESSAGE_ID: &str = "059f36b4-87a3-44ab-83d2-661975830a7d";
const SIXTEEN_DAYS: Duration = Duration::from_secs(1_382_400);

fn try_claim(body: &str) -> Result<Claim, claim::BodyTooLarge> {
    let event = Event::parse(body, &EventIdPointer::parse("/event_id").unwrap()).unwrap();
    // 2026-11-23T23:59:59.999Z
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_478_399_999);
    Claim::new(&event, MESSAGE_ID, body, now, SIXTEEN_DAYS, &[7; 10])
}

fn claim(body: &str) -> Claim {
    try_claim(body).unwrap()
}

/// A body of `bytes` bytes that zstd cannot make smaller by much.
fn incompressible(bytes: usize) -> String {
    // Ninety-three printable characters, without the quote and the backslash.
    let printable: Vec<char> = (' '..='~').filter(|&char| !"\"\\".contains(char)).collect();
    let mut body = String::from(r#"{"event_id":"a","noise":""#);
    let mut state = 88_172_645_463_325_252_usize;
    while body.len() < bytes - 2 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.push(printable[state % printable.len()]);
    }
    body + "\"}"
}

/// As DynamoDB counts, taken from the item itself rather than from the claim.
fn size_as_dynamodb_counts(item: &serde_dynamo::Item) -> usize {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::N(number) => number.len().div_ceil(2) + 1,
        other => panic!("a claim holds no {other:?}"),
    };
    item.iter().map(|(name, attribute)| name.len() + value(attribute)).sum()
}

#[test]
fn everything_in_a_claim_follows_from_one_reading_of_the_clock() {
    let item = claim(r#"{"event_id":"grid_stress_999"}"#).to_item();
    let text = |name: &str| match &item[name] {
        AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
        other => panic!("{name} is {other:?}"),
    };
    assert_eq!(text("pk"), "EVENT#grid_stress_999");
    assert_eq!(text("sk"), "CLAIM");
    assert_eq!(text("claimed_at"), "2026-11-23T23:59:59.999Z");
    assert_eq!(text("ttl"), (1_795_478_399 + 1_382_400).to_string());
    assert_eq!(text("message_id"), MESSAGE_ID);
    // RFC 9562: 48 bits of milliseconds, then version 7.
    let milliseconds = 1_795_478_399_999_u64;
    let expected = format!("{:08x}-{:04x}-7707-8707-070707070707", milliseconds >> 16, milliseconds & 0xffff);
    assert_eq!(text("claim_id"), expected);
    assert_eq!(item.len(), 8);
}

#[test]
fn a_claim_reads_back_as_it_was_written_compressed_or_not() {
    for body in [r#"{"event_id":"a"}"#.to_owned(), format!(r#"{{"event_id":"a","text":"{}"}}"#, "voltage ".repeat(200))]
    {
        let written = claim(&body);
        let read = Claim::from_item(written.to_item()).unwrap();
        assert_eq!(read, written);
        assert_eq!(read.body_text().unwrap(), body);
    }
}

#[test]
fn the_body_is_compressed_where_that_saves_write_units_and_only_there() {
    let of_spaces = |bytes: usize| claim(&format!(r#"{{"event_id":"a"{}}}"#, " ".repeat(bytes - 16)));
    let others = claim(r#"{"event_id":"a"}"#).item_bytes() - 16;
    let one_unit = of_spaces(WRITE_UNIT_BYTES - others);
    let one_more = of_spaces(WRITE_UNIT_BYTES - others + 1);
    assert!(matches!(one_unit.body, Body::Plain(_)));
    assert_eq!(one_unit.item_bytes(), WRITE_UNIT_BYTES);
    assert!(matches!(one_more.body, Body::Zstd(_)) && one_more.item_bytes() < WRITE_UNIT_BYTES);

    // Noise shrinks by a fifth: of 1,500 bytes and the others no unit is saved, of 1,950 one is.
    let units = |claim: &Claim| claim.item_bytes().div_ceil(WRITE_UNIT_BYTES);
    let in_vain = claim(&incompressible(1_500));
    let saves = claim(&incompressible(1_950));
    assert!(matches!(in_vain.body, Body::Plain(_)) && units(&in_vain) == 2);
    assert!(matches!(saves.body, Body::Zstd(_)) && units(&saves) == 2);
}

#[test]
fn the_largest_item_is_accepted_and_one_byte_more_is_refused() {
    // What the printable noise compresses to is close to 82 % of it: search for the last length that fits.
    let noise = incompressible(600_000);
    let fits = |bytes: usize| try_claim(&format!("{}\"}}", &noise[..bytes - 2]));
    let mut low = 400_000;
    let mut high = 600_000;
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        if fits(middle).is_ok() { low = middle } else { high = middle }
    }
    let largest = fits(low).unwrap();
    assert!(largest.item_bytes() <= MAX_ITEM_BYTES && largest.item_bytes() > MAX_ITEM_BYTES - 10);
    assert_eq!(size_as_dynamodb_counts(&largest.to_item()), largest.item_bytes());
    let error = fits(high).unwrap_err();
    assert!(matches!(error, claim::BodyTooLarge::Item { item_bytes } if item_bytes > MAX_ITEM_BYTES), "{error}");
}

#[test]
fn a_mebibyte_that_compresses_is_accepted_and_no_body_beyond_it() {
    let padded = |bytes: usize| format!(r#"{{"event_id":"a"{}}}"#, " ".repeat(bytes - 16));
    assert_eq!(claim(&padded(MAX_BODY_BYTES)).body_text().unwrap().len(), MAX_BODY_BYTES);
    let error = try_claim(&padded(MAX_BODY_BYTES + 1)).unwrap_err().to_string();
    assert_eq!(error, "the body takes 1048577 bytes, more than the 1048576 of the largest message");
}

#[test]
fn an_item_that_is_no_claim_says_which_attribute_is_wrong() {
    let good = claim(r#"{"event_id":"a"}"#).to_item();
    let with = |name: &str, value: Option<AttributeValue>| {
        let mut item = good.clone().into_inner();
        match value {
            Some(value) => item.insert(name.to_owned(), value),
            None => item.remove(name),
        };
        Claim::from_item(serde_dynamo::Item::from(item))
    };
    let text = |text: &str| Some(AttributeValue::S(text.to_owned()));

    for name in ["pk", "sk", "claim_id", "claimed_at", "ttl", "digest", "message_id"] {
        assert!(matches!(with(name, None), Err(ClaimError::Attributes(_))), "without {name}");
        assert!(matches!(with(name, Some(AttributeValue::Bool(true))), Err(ClaimError::Attributes(_))), "{name}");
    }
    for (name, value) in [
        ("pk", "EVENT#"),
        ("pk", "event"),
        ("sk", "OTHER"),
        ("claim_id", "../../escape"),
        ("claim_id", "{019AB347-C93F-7707-8707-070707070707}"),
        ("claimed_at", "2026-11-23T23:59:59Z"),
        ("claimed_at", "2026-11-23T23:59:59.999+02:00"),
        ("claimed_at", "2026-02-30T00:00:00.000Z"),
    ] {
        match with(name, text(value)) {
            Err(ClaimError::Value { attribute, .. }) => assert_eq!(attribute, name),
            other => panic!("{name} = {value:?} gives {other:?}"),
        }
    }
    let error = with("claimed_at", text(&"9".repeat(300_000))).unwrap_err().to_string();
    assert!(error.contains("`claimed_at`") && error.len() < 300, "a value is not quoted whole: {} bytes", error.len());
    assert!(matches!(with("ttl", Some(AttributeValue::N("-1".into()))), Err(ClaimError::Attributes(_))));
    assert!(matches!(with("body", None), Err(ClaimError::Bodies("neither"))));
    assert!(matches!(with("body_zstd", Some(AttributeValue::B(vec![1]))), Err(ClaimError::Bodies("both"))));
}

#[test]
fn a_body_of_the_deepest_nesting_has_an_object_and_a_default_reader_takes_126_levels_of_it() {
    let line = |depth: usize| {
        let body = format!(r#"{{"event_id":"a","x":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
        object::object_line(&claim(&body)).unwrap()
    };
    assert!(serde_json::from_slice::<serde_json::Value>(&line(126)).is_ok());
    assert!(serde_json::from_slice::<serde_json::Value>(&line(127)).is_err());
    assert!(line(128).ends_with(b"}}\n"));
}

#[test]
fn what_does_not_decompress_to_text_of_at_most_a_mebibyte_is_an_error() {
    let with = |frame: Vec<u8>| Claim { body: Body::Zstd(frame), ..claim(r#"{"event_id":"a"}"#) };
    let bomb = zstd::bulk::compress(&vec![b' '; MAX_BODY_BYTES + 1], 3).unwrap();
    assert!(matches!(with(bomb).body_text(), Err(ClaimError::Decompress(_))));
    assert!(matches!(with(b"not zstd".to_vec()).body_text(), Err(ClaimError::Decompress(_))));
    let not_text = zstd::bulk::compress(&[0xff, 0xfe], 3).unwrap();
    assert!(matches!(with(not_text).body_text(), Err(ClaimError::NotText(_))));
}

#[test]
fn a_digest_of_another_version_is_compared_by_its_body() {
    let mut old = claim(r#"{"event_id":"a","x":1}"#);
    let digest = old.comparable_digest().unwrap();
    old.digest = vec![9; 12];
    assert_eq!(old.comparable_digest().unwrap(), digest);
    old.body = Body::Zstd(vec![1, 2, 3]);
    assert!(old.comparable_digest().is_err());
}

#[test]
fn the_key_is_prefix_then_hour_of_the_claim_then_claim_id() {
    let claim = claim(r#"{"event_id":"a"}"#);
    let key = ObjectPrefix::parse("events/").unwrap().object_key(&claim);
    assert_eq!(key, format!("events/dt=2026-11-23/hour=23/{}.json", claim.claim_id));
}

#[test]
fn the_line_holds_the_event_as_sent_without_its_white_space() {
    let body = "{\r\n\t\"event_id\": \"a \\\"b\\\\\",\n \"z\" : [1.50, 1E+2 , \"\\u00e9 \\\\\\\" \\/\"],\n \"a\": 12345678901234567890123 }";
    let claim = claim(body);
    let line = String::from_utf8(object::object_line(&claim).unwrap()).unwrap();
    let expected = format!(
        r#"{{"event_id":"a \"b\\","claim_id":"{}","claimed_at":"2026-11-23T23:59:59.999Z","message_id":"{MESSAGE_ID}","event":{}}}{}"#,
        claim.claim_id, r#"{"event_id":"a \"b\\","z":[1.50,1E+2,"\u00e9 \\\" \/"],"a":12345678901234567890123}"#, "\n"
    );
    assert_eq!(line, expected);
}

#[test]
fn a_body_that_is_not_json_becomes_no_line() {
    let broken = Claim { body: Body::Plain("{\"a\":".into()), ..claim(r#"{"event_id":"a"}"#) };
    assert!(matches!(object::object_line(&broken), Err(ClaimError::NotJson(_))));
}

#[test]
fn whatever_nesting_is_claimed_can_be_archived() {
    let deepest = format!(r#"{{"event_id":"a","x":{}{}}}"#, "[".repeat(127), "]".repeat(127));
    assert!(object::object_line(&claim(&deepest)).is_ok());
}

#[test]
fn an_unusable_record_is_named_by_its_sequence_number_or_else_by_its_hash() {
    let prefix = ObjectPrefix::parse("events/").unwrap();
    assert_eq!(prefix.quarantine_key(Some("111000"), "{}"), "events/_unusable/111000.json");
    let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    for unusable in [None, Some(""), Some("../x")] {
        assert_eq!(prefix.quarantine_key(unusable, "{}"), format!("events/_unusable/{hash}.json"));
    }
}

#[test]
fn a_prefix_under_which_keys_would_be_lost_is_refused() {
    assert!(ObjectPrefix::parse("lake/events-v2/").is_ok());
    for (prefix, error) in [
        ("", ObjectPrefixError::NoSlashAtEnd),
        ("events", ObjectPrefixError::NoSlashAtEnd),
        ("/", ObjectPrefixError::EmptyFolder),
        ("/events/", ObjectPrefixError::EmptyFolder),
        ("a//b/", ObjectPrefixError::EmptyFolder),
        ("a b/", ObjectPrefixError::UnsafeCharacter),
        ("é/", ObjectPrefixError::UnsafeCharacter),
    ] {
        assert_eq!(ObjectPrefix::parse(prefix), Err(error), "{prefix:?}");
    }
    assert_eq!(ObjectPrefix::parse(&format!("{}/", "a".repeat(900))), Err(ObjectPrefixError::TooLong));
}

proptest! {
    #[test]
    fn the_line_is_one_line_whose_event_is_the_body(text in "\\PC{0,20}|[\u{0}-\u{22}\\\\]{0,9}", number in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?") {
        let text = serde_json::Value::String(text).to_string();
        let body = format!("{{ \"event_id\" : \"a\",\n\"text\":\t{text} , \"number\":{number}}}");
        let line = String::from_utf8(object::object_line(&claim(&body)).unwrap()).unwrap();
        prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
        let ending = format!("\"event\":{{\"event_id\":\"a\",\"text\":{text},\"number\":{number}}}}}\n");
        prop_assert!(line.ends_with(&ending));
    }

    #[test]
    fn the_size_is_what_dynamodb_counts(id in "\\PC{1,40}", body in "\\PC{0,600}") {
        let body = serde_json::json!({ "event_id": id, "body": body }).to_string();
        let claim = claim(&body);
        prop_assert_eq!(claim.item_bytes(), size_as_dynamodb_counts(&claim.to_item()));
    }
}
