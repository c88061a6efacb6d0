//! Tests of the claim's DynamoDB item and of its S3 object.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use claim::body::{MAX_BODY_BYTES, WRITE_UNIT_BYTES};
use claim::key::is_claim_sort_key;
use claim::record::MAX_ITEM_BYTES;
use claim::{Body, Claim, ClaimError, EventRules, ObjectPrefix, ObjectPrefixError, SourceMessage, TraceId, object};
use proptest::prelude::*;
use serde_dynamo::AttributeValue;

use crate::{MESSAGE_ID, W3C, XRAY, claim_message, rules};

fn try_claim(body: &str) -> Result<Claim, claim::BodyTooLarge> {
    claim_message(&EventRules::default(), &SourceMessage::new(MESSAGE_ID, body))
}

fn claim(body: &str) -> Claim {
    try_claim(body).unwrap()
}

/// Calls [`Claim::check_size`] for the event with this body.
fn check_size(body: &str) -> Result<(), claim::BodyTooLarge> {
    let event = EventRules::default().event(body, None).unwrap();
    Claim::check_size(&event, &SourceMessage::new(MESSAGE_ID, body))
}

/// Returns a body of `bytes` bytes that zstd can hardly compress.
fn incompressible(bytes: usize) -> String {
    // All 93 printable ASCII characters except the quotation mark and the backslash.
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

/// Returns the size of an item by DynamoDB's rules, computed from the item's attributes and not from the claim.
pub(crate) fn size_as_dynamodb_counts(item: &serde_dynamo::Item) -> usize {
    let value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::N(number) => number.len().div_ceil(2) + 1,
        other => panic!("a claim holds no {other:?}"),
    };
    item.iter().map(|(name, attribute)| name.len() + value(attribute)).sum()
}

/// Returns the id of a claim that is made at `now`.
fn claim_id(now: SystemTime, random: [u8; 10]) -> uuid::Uuid {
    let event = EventRules::default().event(r#"{"event_id":"a"}"#, None).unwrap();
    Claim::new(&event, &SourceMessage::new(MESSAGE_ID, r#"{"event_id":"a"}"#), now, Duration::ZERO, &random)
        .unwrap()
        .claim_id
}

/// A claim id contains 74 random bits. For the same time, different bits give different claim ids.
#[test]
fn claim_id_has_74_random_bits() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let ids: HashSet<_> =
        (0..80).map(|bit| claim_id(now, (1_u128 << bit).to_be_bytes()[6..].try_into().unwrap())).collect();
    // UUIDv7 has fixed bits in the place of six of the 80: the version has four, and the variant two. Each of those six
    // gives the id of no bits at all.
    assert_eq!(ids.len(), 74 + 1);
}

/// All times in a claim come from one reading of the clock.
#[test]
fn claim_has_one_clock_reading() {
    let item = claim(r#"{"event_id":"grid_stress_999"}"#).to_item();
    let text = |name: &str| match &item[name] {
        AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
        other => panic!("{name} is {other:?}"),
    };
    assert_eq!(text("pk"), "EVENT#grid_stress_999");
    assert_eq!((text("sk"), text("layout")), ("CLAIM".to_owned(), "object".to_owned()));
    assert_eq!(text("claimed_at"), "2026-11-23T23:59:59.999Z");
    assert_eq!(text("ttl"), (1_795_478_399 + 1_382_400).to_string());
    assert_eq!(text("message_id"), MESSAGE_ID);
    // RFC 9562: a UUIDv7 begins with 48 bits of milliseconds and the version 7.
    let milliseconds = 1_795_478_399_999_u64;
    let expected = format!("{:08x}-{:04x}-7707-8707-070707070707", milliseconds >> 16, milliseconds & 0xffff);
    assert_eq!(text("claim_id"), expected);
    assert_eq!(item.len(), 9);
}

/// Decoding an item returns the claim that was encoded, whether its body is compressed or not.
#[test]
fn claim_survives_encoding() {
    for body in [r#"{"event_id":"a"}"#.to_owned(), format!(r#"{{"event_id":"a","text":"{}"}}"#, "voltage ".repeat(200))]
    {
        let written = claim(&body);
        let read = Claim::from_item(written.to_item()).unwrap();
        assert_eq!(read, written);
        assert_eq!(read.body_text().unwrap(), body);
    }
}

/// A newer version or an operator may add an attribute. The claim stays valid.
#[test]
fn unknown_attribute_is_ignored() {
    let claim = claim(r#"{"event_id":"a"}"#);
    let mut item = claim.to_item().into_inner();
    item.insert("note".to_owned(), AttributeValue::S("added by hand".to_owned()));
    assert_eq!(Claim::from_item(item).unwrap(), claim);
}

/// An item of the previous version has no `layout`. It is read as a claim that is archived as its own object.
#[test]
fn layout_can_be_absent() {
    let claim = claim(r#"{"event_id":"a"}"#);
    let mut item = claim.to_item().into_inner();
    assert_eq!(item.remove("layout"), Some(AttributeValue::S("object".to_owned())));
    assert_eq!(Claim::from_item(item).unwrap(), claim);
}

/// A claim stores the trace id of its message. Decoding an item leaves out a malformed trace id: losing the trace is
/// better than losing the event.
#[test]
fn malformed_trace_id_is_left_out() {
    let body = r#"{"event_id":"a"}"#;
    for id in [XRAY, W3C] {
        let trace_id = TraceId::parse(id);
        let message = SourceMessage { id: MESSAGE_ID, trace_id: trace_id.as_ref(), body };
        let claim = claim_message(&EventRules::default(), &message).unwrap();
        assert_eq!(claim.to_item()["trace_id"], AttributeValue::S(id.to_owned()));
        assert_eq!(Claim::from_item(claim.to_item()).unwrap(), claim);
        for malformed in ["", "x", &"x".repeat(10_000), &id[1..], &format!("{id}\r\nx-amz-meta-a: b")] {
            let mut item = claim.to_item().into_inner();
            item.insert("trace_id".to_owned(), AttributeValue::S(malformed.to_owned()));
            assert_eq!(Claim::from_item(item).unwrap(), Claim { trace_id: None, ..claim.clone() });
        }
    }
    assert!(!claim(body).to_item().contains_key("trace_id"));
}

/// The sort key of a claim is `CLAIM`, or `CLAIM#` and any tag.
#[test]
fn claim_is_recognized_by_its_sort_key() {
    for (sort_key, expected) in [
        ("CLAIM", true),
        ("CLAIM#03102162", true),
        ("CLAIM#", true),
        ("CLAIM#of a later version#2", true),
        ("CLAIMS", false),
        ("CLAIM ", false),
        ("CLAI", false),
        ("claim", false),
        ("XCLAIM#1", false),
        ("", false),
    ] {
        let mut item = claim(r#"{"event_id":"a"}"#).to_item().into_inner();
        item.insert("sk".to_owned(), AttributeValue::S(sort_key.to_owned()));
        assert_eq!(is_claim_sort_key(sort_key), expected, "{sort_key}");
        assert_eq!(
            Claim::from_item(item).ok().map(|claim| claim.sort_key.to_string()),
            expected.then(|| sort_key.into())
        );
    }
}

/// The trace id, the tag and the longer digest count toward the size that decides whether the body is compressed.
#[test]
fn new_attributes_count_for_the_write_unit() {
    let trace_id = TraceId::parse(XRAY);
    for (key, list, trace_id, digest) in [
        ("/event_id", "[]", None, 33),
        ("/event_id", r#"["/t"]"#, None, 37),
        ("/event_id", "[]", trace_id.as_ref(), 33),
        ("content", r#"["/t"]"#, trace_id.as_ref(), 37),
    ] {
        let rules = rules(key, list);
        let claim = |bytes: usize| {
            let body = format!(r#"{{"event_id":"a"{}}}"#, " ".repeat(bytes - 16));
            claim_message(&rules, &SourceMessage { id: MESSAGE_ID, trace_id, body: &body }).unwrap()
        };
        let other_bytes = size_as_dynamodb_counts(&claim(16).to_item()) - 16;
        let fits = claim(WRITE_UNIT_BYTES - other_bytes);
        assert_eq!((fits.digest.len(), fits.item_bytes()), (digest, WRITE_UNIT_BYTES), "{key} {list}");
        assert!(matches!(fits.body, Body::Plain(_)), "{key} {list}");
        assert!(matches!(claim(WRITE_UNIT_BYTES - other_bytes + 1).body, Body::Zstd(_)), "{key} {list}");
    }
}

#[test]
fn body_is_compressed_only_to_save_units() {
    let claim_of_spaces = |bytes: usize| claim(&format!(r#"{{"event_id":"a"{}}}"#, " ".repeat(bytes - 16)));
    let other_bytes = claim(r#"{"event_id":"a"}"#).item_bytes() - 16;
    let one_unit = claim_of_spaces(WRITE_UNIT_BYTES - other_bytes);
    let one_byte_more = claim_of_spaces(WRITE_UNIT_BYTES - other_bytes + 1);
    assert!(matches!(one_unit.body, Body::Plain(_)));
    assert_eq!(one_unit.item_bytes(), WRITE_UNIT_BYTES);
    assert!(matches!(one_byte_more.body, Body::Zstd(_)) && one_byte_more.item_bytes() < WRITE_UNIT_BYTES);

    // Compression makes noise a fifth smaller. That saves no write unit for a body of 1,500 bytes, and one for 1,950
    // bytes.
    let units = |claim: &Claim| claim.item_bytes().div_ceil(WRITE_UNIT_BYTES);
    let saves_none = claim(&incompressible(1_500));
    let saves_one = claim(&incompressible(1_950));
    assert!(matches!(saves_none.body, Body::Plain(_)) && units(&saves_none) == 2);
    assert!(matches!(saves_one.body, Body::Zstd(_)) && units(&saves_one) == 2);
}

/// `Claim::new` and `Claim::check_size` accept the longest body that fits, and refuse a body that is one byte longer.
#[test]
fn item_size_limit_is_exact() {
    // Noise compresses to about 82 % of its length. A binary search finds the longest body that fits.
    let noise = incompressible(600_000);
    let body = |bytes: usize| format!("{}\"}}", &noise[..bytes - 2]);
    let fits = |bytes: usize| try_claim(&body(bytes));
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

    for bytes in [30, 1_000, 400_000, low] {
        check_size(&body(bytes)).unwrap();
    }
    assert_eq!(check_size(&body(high)).unwrap_err().to_string(), error.to_string());
}

/// A compressible body of 1 MiB is accepted, and a body that is one byte longer is refused.
#[test]
fn body_size_limit_is_exact() {
    let padded = |bytes: usize| format!(r#"{{"event_id":"a"{}}}"#, " ".repeat(bytes - 16));
    assert_eq!(claim(&padded(MAX_BODY_BYTES)).body_text().unwrap().len(), MAX_BODY_BYTES);
    check_size(&padded(MAX_BODY_BYTES)).unwrap();
    let error = "the body has 1048577 bytes, more than the 1048576 that SQS allows";
    assert_eq!(try_claim(&padded(MAX_BODY_BYTES + 1)).unwrap_err().to_string(), error);
    assert_eq!(check_size(&padded(MAX_BODY_BYTES + 1)).unwrap_err().to_string(), error);
}

#[test]
fn decoding_error_names_bad_attribute() {
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
        ("sk", "CLAIMS"),
        ("layout", "packs"),
        ("layout", ""),
        ("claim_id", "../../escape"),
        ("claim_id", "{019AB347-C93F-7707-8707-070707070707}"),
        // Version 4, the nil UUID, and version 7 with another variant.
        ("claim_id", "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"),
        ("claim_id", "00000000-0000-0000-0000-000000000000"),
        ("claim_id", "019ab347-c93f-7707-c707-070707070707"),
        ("claimed_at", "2026-11-23T23:59:59Z"),
        ("claimed_at", "2026-11-23T23:59:59.999+02:00"),
        ("claimed_at", "2026-02-30T00:00:00.000Z"),
    ] {
        match with(name, text(value)) {
            Err(ClaimError::Value { attribute, .. }) => assert_eq!(attribute, name),
            other => panic!("{name} = {value:?} gives {other:?}"),
        }
    }
    let error = with("layout", text("packs")).unwrap_err().to_string();
    assert_eq!(error, r#"the item's `layout` is "packs", not object or pack"#);
    let error = with("sk", text("CLAIMS")).unwrap_err().to_string();
    assert_eq!(error, r#"the item's `sk` is "CLAIMS", not CLAIM or CLAIM#<tag>"#);
    let error = with("claimed_at", text(&"9".repeat(300_000))).unwrap_err().to_string();
    assert!(error.contains("`claimed_at`") && error.len() < 300, "the whole value is quoted: {} bytes", error.len());
    assert!(matches!(with("ttl", Some(AttributeValue::N("-1".into()))), Err(ClaimError::Attributes(_))));
    assert!(matches!(with("body", None), Err(ClaimError::Bodies("neither"))));
    assert!(matches!(with("body_zstd", Some(AttributeValue::B(vec![1]))), Err(ClaimError::Bodies("both"))));
}

/// With its default limit, `serde_json` reads the S3 object of a body of up to 126 levels. Deeper bodies are archived
/// too.
#[test]
fn default_reader_reads_126_levels() {
    let line = |depth: usize| {
        let body = format!(r#"{{"event_id":"a","x":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
        object::object_line(&claim(&body)).unwrap()
    };
    assert!(serde_json::from_slice::<serde_json::Value>(&line(126)).is_ok());
    assert!(serde_json::from_slice::<serde_json::Value>(&line(127)).is_err());
    assert!(line(128).ends_with(b"}}\n"));
}

/// A compressed body must decompress to text of at most 1 MiB.
#[test]
fn bad_compressed_body_is_an_error() {
    let with = |frame: Vec<u8>| Claim { body: Body::Zstd(frame), ..claim(r#"{"event_id":"a"}"#) };
    let bomb = zstd::bulk::compress(&vec![b' '; MAX_BODY_BYTES + 1], 3).unwrap();
    assert!(matches!(with(bomb).body_text(), Err(ClaimError::Decompress(_))));
    assert!(matches!(with(b"not zstd".to_vec()).body_text(), Err(ClaimError::Decompress(_))));
    let not_text = zstd::bulk::compress(&[0xff, 0xfe], 3).unwrap();
    assert!(matches!(with(not_text).body_text(), Err(ClaimError::NotText(_))));
}

/// If another version of the algorithm computed the stored digest, `comparable_digest` computes a new one from the
/// body.
#[test]
fn old_digest_is_recomputed() {
    let mut old = claim(r#"{"event_id":"a","x":1}"#);
    let digest = old.comparable_digest(&EventRules::default()).unwrap();
    old.digest = vec![9; 12];
    assert_eq!(old.comparable_digest(&EventRules::default()).unwrap(), digest);
    old.body = Body::Zstd(vec![1, 2, 3]);
    assert!(old.comparable_digest(&EventRules::default()).is_err());
}

#[test]
fn object_key_is_prefix_hour_and_claim_id() {
    let claim = claim(r#"{"event_id":"a"}"#);
    let key = ObjectPrefix::parse("events/").unwrap().object_key(&claim);
    assert_eq!(key, format!("events/dt=2026-11-23/hour=23/{}.json", claim.claim_id));
}

/// An edited `claimed_at` does not change the object's key, so the claim cannot get a second object.
#[test]
fn object_key_ignores_an_edited_time() {
    let prefix = ObjectPrefix::parse("events/").unwrap();
    let claim = claim(r#"{"event_id":"a"}"#);
    for later in [1, 3_600, 86_400 * 365] {
        let edited = Claim { claimed_at: claim.claimed_at + Duration::from_secs(later), ..claim.clone() };
        assert_eq!(prefix.object_key(&edited), prefix.object_key(&claim));
    }
    // The largest time that a UUIDv7 can hold.
    let last = Claim { claim_id: uuid::Uuid::from_u128(u128::MAX), ..claim };
    assert_eq!(prefix.object_key(&last), "events/dt=+10889-08-02/hour=05/ffffffff-ffff-ffff-ffff-ffffffffffff.json");
}

/// The object's line contains the event as sent, without white space between tokens.
#[test]
fn line_contains_event_as_sent() {
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
fn body_that_is_not_json_has_no_line() {
    let not_json = Claim { body: Body::Plain("{\"a\":".into()), ..claim(r#"{"event_id":"a"}"#) };
    assert!(matches!(object::object_line(&not_json), Err(ClaimError::NotJson(_))));
}

/// The most deeply nested body that can be claimed can also be archived.
#[test]
fn deepest_body_has_a_line() {
    let deepest = format!(r#"{{"event_id":"a","x":{}{}}}"#, "[".repeat(127), "]".repeat(127));
    assert!(object::object_line(&claim(&deepest)).is_ok());
}

/// A quarantined record's key contains the sequence number. If the number is missing or malformed, the key contains the
/// record's SHA-256 instead.
#[test]
fn quarantine_key_is_number_or_hash() {
    let prefix = ObjectPrefix::parse("events/").unwrap();
    assert_eq!(prefix.quarantine_key(Some("111000"), "{}"), "events/_unusable/111000.json");
    let hash = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    for unusable in [None, Some(""), Some("../x")] {
        assert_eq!(prefix.quarantine_key(unusable, "{}"), format!("events/_unusable/{hash}.json"));
    }
}

#[test]
fn unusable_prefix_is_refused() {
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
    assert!(ObjectPrefix::parse(&format!("{}/", "a".repeat(899))).is_ok());
    assert_eq!(ObjectPrefix::parse(&format!("{}/", "a".repeat(900))), Err(ObjectPrefixError::TooLong));
}

proptest! {
    /// The object has exactly one line, and the line's `event` is the body.
    #[test]
    fn object_is_one_line_with_the_body(
        text in "\\PC{0,20}|[\u{0}-\u{22}\\\\]{0,9}",
        number in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?",
    ) {
        let text = serde_json::Value::String(text).to_string();
        let body = format!("{{ \"event_id\" : \"a\",\n\"text\":\t{text} , \"number\":{number}}}");
        let line = String::from_utf8(object::object_line(&claim(&body)).unwrap()).unwrap();
        prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
        let ending = format!("\"event\":{{\"event_id\":\"a\",\"text\":{text},\"number\":{number}}}}}\n");
        prop_assert!(line.ends_with(&ending));
    }

    /// `item_bytes` returns the item's size as DynamoDB counts it, and `from_item` restores the claim from its item.
    #[test]
    fn item_size_follows_dynamodb_rules(
        id in "\\PC{1,40}",
        text in "\\PC{0,600}",
        key in prop::sample::select(vec!["/event_id", r#"["/n","/event_id"]"#, "content"]),
        list in prop::sample::select(vec!["[]", r#"["/t"]"#]),
        trace_id in prop::sample::select(vec![None, TraceId::parse(XRAY), TraceId::parse(W3C)]),
    ) {
        let body = serde_json::json!({ "event_id": id, "n": 7, "text": text }).to_string();
        let message = SourceMessage { id: MESSAGE_ID, trace_id: trace_id.as_ref(), body: &body };
        let claim = claim_message(&rules(key, list), &message).unwrap();
        let item = claim.to_item();
        prop_assert_eq!(claim.item_bytes(), size_as_dynamodb_counts(&item));
        prop_assert_eq!(Claim::from_item(item).unwrap(), claim);
    }
}
