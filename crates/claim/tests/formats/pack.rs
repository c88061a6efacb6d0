//! Tests of packed claims and of packs. The golden files are in `tests/golden/packs`.

use std::path::Path;
use std::time::{Duration, SystemTime};

use claim::pack::{MAX_CHUNK_BYTES, MAX_LINES_BYTES, PACK_EXTRA_SECONDS};
use claim::record::MAX_ITEM_BYTES;
use claim::{
    Body, Claim, ClaimError, ClaimIds, EventRules, Layout, ObjectPrefix, Pack, PackBuilder, PackError, PackRef,
    PackTooLarge, SourceMessage, object,
};
use proptest::prelude::*;
use serde_dynamo::AttributeValue;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::MESSAGE_ID;

const PACK_ID: Uuid = Uuid::from_u128(0x01a3_185c_4a24_7101_8101_0101_0101_0101);
const CLOSE_BY_MS: u64 = 1_800_000_030_123;

/// Returns the packed claim `number` with this body.
fn packed_claim(number: u8, body: &str) -> Claim {
    let event = EventRules::default().event(body, None).unwrap();
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
    let window = Duration::from_secs(1_382_400 + u64::from(number));
    let pack = PackRef { pack_id: PACK_ID, close_by_ms: CLOSE_BY_MS };
    Claim::with_layout(&event, &SourceMessage::new(MESSAGE_ID, body), now, window, &[number; 10], Layout::Pack(pack))
        .unwrap()
}

fn body(number: usize, text: &str) -> String {
    json!({ "event_id": format!("order-{number}"), "text": text }).to_string()
}

fn build(claims: &[Claim]) -> Pack {
    let mut builder = PackBuilder::new();
    for claim in claims {
        builder.push(claim).unwrap();
    }
    builder.finish(PACK_ID).unwrap()
}

/// Reads all lines of a pack.
fn read_lines(pack: &Pack) -> Result<Vec<String>, PackError> {
    let mut lines = pack.lines();
    let mut texts = Vec::new();
    while let Some(line) = lines.next_line()? {
        texts.push(String::from_utf8(line.text.to_vec()).unwrap());
    }
    Ok(texts)
}

/// Returns the error of the first line that cannot be read.
fn line_error(claims: &[Claim], lines: &[u8]) -> String {
    let pack = Pack { lines_zstd: zstd::encode_all(lines, 3).unwrap(), ..build(claims) };
    read_lines(&pack).unwrap_err().to_string()
}

fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/packs").join(name).with_extension("json");
    std::fs::read_to_string(path).map(|text| serde_json::from_str(&text).unwrap()).unwrap_or_default()
}

fn read_item(item: &Value) -> serde_dynamo::Item {
    serde_json::from_value(item.clone()).unwrap()
}

fn golden_claims() -> [Claim; 2] {
    [packed_claim(1, r#"{ "event_id": "order-1", "v": 1.50 }"#), packed_claim(2, &body(2, &"voltage ".repeat(200)))]
}

/// This version writes exactly the golden items, and reads them.
#[test]
fn packed_claims_and_packs_have_golden_items() {
    let claims = golden_claims();
    for (name, claim) in ["claim", "claim-compressed"].into_iter().zip(&claims) {
        let item = serde_json::to_value(claim.to_item()).unwrap();
        assert_eq!(golden(name), item, "{name}.json should be\n{item:#}");
        assert_eq!(&Claim::from_item(read_item(&item)).unwrap(), claim);
    }
    let pack = build(&claims);
    let item = serde_json::to_value(pack.clone().into_item()).unwrap();
    assert_eq!(golden("pack"), item, "pack.json should be\n{item:#}");
    assert_eq!(Pack::from_item(read_item(&item)).unwrap(), pack);
    assert_eq!(ClaimIds::from_item(read_item(&item)).unwrap(), pack.claim_ids);
}

/// A pack lists its claims, has their lines in the same order, and outlives the last of them by a day.
#[test]
fn pack_has_the_lines_of_its_claims() {
    let claims: Vec<Claim> = (0..3).map(|n| packed_claim(n, &body(n.into(), "a\u{2028}\"b\\"))).collect();
    let pack = build(&claims);
    assert_eq!(pack.claim_ids.iter().collect::<Vec<_>>(), claims.iter().map(|c| c.claim_id).collect::<Vec<_>>());
    assert!(claims.iter().all(|claim| pack.claim_ids.contains(claim.claim_id)));
    assert!(!pack.claim_ids.contains(PACK_ID));
    assert_eq!((pack.pack_id, pack.ttl), (PACK_ID, claims[2].ttl + 24 * 60 * 60));
    let expected = claims.iter().map(|claim| String::from_utf8(object::object_line(claim).unwrap()).unwrap());
    assert_eq!(read_lines(&pack).unwrap(), expected.collect::<Vec<_>>());

    let mut lines = pack.lines();
    let first = lines.next_line().unwrap().unwrap();
    assert_eq!((&*first.event_id, &*first.message_id), ("order-0", MESSAGE_ID));
    assert_eq!((first.claim_id, first.claimed_at), (claims[0].claim_id, claims[0].claimed_at));
}

/// The latest `ttl` counts, wherever the claim is in the pack.
#[test]
fn pack_outlives_the_claim_with_the_latest_ttl() {
    let claims = [packed_claim(9, &body(9, "")), packed_claim(1, &body(1, ""))];
    assert_eq!(build(&claims).ttl, claims[0].ttl + PACK_EXTRA_SECONDS);
}

/// A body that is given as text gives the same pack.
#[test]
fn body_can_be_given_as_text() {
    let claim = packed_claim(1, &body(1, &"voltage ".repeat(200)));
    let without_body = Claim { body: Body::Plain(String::new()), ..claim.clone() };
    let mut builder = PackBuilder::new();
    builder.push_text(&without_body, &claim.body_text().unwrap()).unwrap();
    assert_eq!(builder.finish(PACK_ID).unwrap(), build(std::slice::from_ref(&claim)));
    assert_eq!(Pack::partition_key(PACK_ID), format!("PACK#{PACK_ID}"));
}

/// A pack built from the lines of another pack has the same claims and lines. Its `ttl` is a day after the latest given
/// one. A text that is not the line of a claim is refused, and the builder can still be used.
#[test]
fn pack_is_built_from_lines() {
    let pack = build(&golden_claims());
    let mut builder = PackBuilder::new();
    let mut lines = pack.lines();
    for ttl in [2_000, 1_000] {
        builder.push_line(lines.next_line().unwrap().unwrap().text, ttl).unwrap();
    }
    let line = read_lines(&pack).unwrap().remove(0);
    let other_id = line.replacen("\"claim_id\":\"", "\"claim_id\":\"x", 1);
    for (text, expected) in [
        (line.trim_end(), "the pack has 3 claims, but 2 complete lines"),
        ("{}\n", "line 3 is not the line of a claim"),
        (&other_id, "line 3 is not the line of a claim"),
    ] {
        assert_eq!(builder.push_line(text.as_bytes(), 1).unwrap_err().to_string(), expected);
    }
    let rebuilt = builder.finish(PACK_ID).unwrap();
    assert_eq!((&rebuilt.claim_ids, read_lines(&rebuilt).unwrap()), (&pack.claim_ids, read_lines(&pack).unwrap()));
    assert_eq!(rebuilt.ttl, 2_000 + PACK_EXTRA_SECONDS);
}

/// The hour in the key comes from the pack id.
#[test]
fn pack_key_has_the_hour_of_the_pack_id() {
    let key = ObjectPrefix::parse("events/").unwrap().pack_key(PACK_ID);
    assert_eq!(key, format!("events/dt=2027-01-15/hour=07/{PACK_ID}.json.gz"));
}

/// A claim has either layout. The layout does not change the claim's line.
#[test]
fn layout_does_not_change_the_line() {
    for text in ["", &"voltage ".repeat(200)] {
        let packed = packed_claim(1, &body(1, text));
        let object = Claim { layout: Layout::Object, ..packed.clone() };
        assert_eq!(object::object_line(&object).unwrap(), object::object_line(&packed).unwrap());
        assert_eq!(object.layout.pack(), None);
        assert_eq!(packed.layout.pack().map(|pack| pack.pack_id), Some(PACK_ID));
        let item = packed.to_item();
        assert!(!item.contains_key("body") && !item.contains_key("body_zstd"));
        assert_eq!(item.contains_key("packed_body"), text.is_empty());
        assert_eq!(item.contains_key("packed_body_zstd"), !text.is_empty());
        assert_eq!(item["layout"], AttributeValue::S("pack".to_owned()));
    }
}

/// A packed claim without its pack, its deadline or its body cannot be read.
#[test]
fn incomplete_packed_claim_is_an_error() {
    let item = packed_claim(1, &body(1, "")).to_item().into_inner();
    let without = |name: &str| {
        let mut item = item.clone();
        item.remove(name).unwrap();
        Claim::from_item(item).unwrap_err()
    };
    assert_eq!(without("pack_id").to_string(), "the item has the layout `pack`, but no `pack_id`");
    assert_eq!(without("close_by").to_string(), "the item has the layout `pack`, but no `close_by`");
    assert!(matches!(without("packed_body"), ClaimError::PackedBodies("neither")));
    assert!(matches!(without("layout"), ClaimError::Bodies("neither")));
    let with = |name: &str, value: &str| {
        let mut item = item.clone();
        item.insert(name.to_owned(), AttributeValue::S(value.to_owned()));
        Claim::from_item(item).unwrap_err()
    };
    let id = PACK_ID.to_string();
    for pack_id in ["", "x", &id.to_uppercase(), "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"] {
        assert!(matches!(with("pack_id", pack_id), ClaimError::Value { attribute: "pack_id", .. }), "{pack_id}");
    }
    assert!(matches!(with("close_by", "1"), ClaimError::Attributes(_)));
}

#[test]
fn malformed_pack_is_an_error() {
    let item = build(&golden_claims()).into_item().into_inner();
    let with = |name: &str, value: Option<AttributeValue>| {
        let mut item = item.clone();
        match value {
            Some(value) => item.insert(name.to_owned(), value),
            None => item.remove(name),
        };
        Pack::from_item(item).unwrap_err()
    };
    for name in ["pk", "sk", "claim_ids", "lines_zstd", "ttl"] {
        assert!(matches!(with(name, None), PackError::Attributes(_)), "without {name}");
        assert!(matches!(with(name, Some(AttributeValue::Bool(true))), PackError::Attributes(_)), "{name}");
    }
    let id = PACK_ID.to_string();
    for pk in ["PACK#", "EVENT#a", &id, &format!("PACK#{}", id.to_uppercase()), &format!("PACK#{id} ")] {
        let error = with("pk", Some(AttributeValue::S(pk.to_owned())));
        assert!(matches!(error, PackError::Key { attribute: "pk", .. }), "{pk}: {error}");
    }
    assert!(matches!(with("sk", Some(AttributeValue::S("CLAIM".into()))), PackError::Key { attribute: "sk", .. }));
    for bytes in [0, 1, 15, 17, 33] {
        let error = with("claim_ids", Some(AttributeValue::B(vec![1; bytes])));
        assert!(matches!(error, PackError::ClaimIds(found) if found == bytes), "{bytes}: {error}");
    }
}

/// The lines must be those of the listed claims, in the same order, and complete.
#[test]
fn lines_must_match_the_claim_ids() {
    let claims = golden_claims();
    let [first, second] = claims.each_ref().map(|claim| object::object_line(claim).unwrap());
    let joined = |lines: &[&[u8]]| lines.concat();
    assert_eq!(line_error(&claims, &first), "the pack has 2 claims, but 1 complete lines");
    assert_eq!(line_error(&claims, &joined(&[&first, &second, &first])), "the pack has 2 claims, but 3 complete lines");
    let cut = joined(&[&first, &second[..second.len() - 1]]);
    assert_eq!(line_error(&claims, &cut), "the pack has 2 claims, but 1 complete lines");
    let error = "line 1 does not belong to the claim at its position";
    assert_eq!(line_error(&claims, &joined(&[&second, &first])), error);
    for wrong in [&b"{}\n"[..], b"\n", b"not json\n", b"[]\n", b"\xff\n"] {
        assert_eq!(line_error(&claims, &joined(&[&first, wrong])), "line 2 is not the line of a claim");
    }
    assert_eq!(line_error(&claims, b""), "the pack has 2 claims, but 0 complete lines");
}

/// A frame that is cut, that is not zstd, or that decompresses to too much is an error. The reader never holds more than
/// the limit.
#[test]
fn hostile_frame_is_an_error() {
    let pack = build(&golden_claims());
    for end in [0, 1, 4, pack.lines_zstd.len() / 2, pack.lines_zstd.len() - 1] {
        let cut = Pack { lines_zstd: pack.lines_zstd[..end].to_vec(), ..pack.clone() };
        assert!(read_lines(&cut).is_err(), "{end} bytes");
    }
    let not_zstd = Pack { lines_zstd: vec![7; 100], ..pack.clone() };
    assert!(matches!(read_lines(&not_zstd), Err(PackError::Decompress(_))));
    let bomb = zstd::encode_all(&*vec![b' '; MAX_LINES_BYTES + 1], 3).unwrap();
    assert!(matches!(read_lines(&Pack { lines_zstd: bomb, ..pack.clone() }), Err(PackError::TooLong)));
    // A frame whose window is larger than that of any pack would need much memory.
    let mut wide = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    wide.set_parameter(zstd::zstd_safe::CParameter::WindowLog(24)).unwrap();
    std::io::Write::write_all(&mut wide, &object::object_line(&golden_claims()[0]).unwrap()).unwrap();
    let wide = Pack { lines_zstd: wide.finish().unwrap(), ..pack };
    assert!(matches!(read_lines(&wide), Err(PackError::Decompress(_))));
}

/// A claim without a line does not spoil the pack of the others.
#[test]
fn claim_without_line_is_left_out() {
    let [first, second] = golden_claims();
    let broken = Claim { body: Body::Plain("{".to_owned()), ..first };
    let mut builder = PackBuilder::new();
    assert!(matches!(builder.push(&broken), Err(ClaimError::NotJson(_))) && builder.is_empty());
    builder.push(&second).unwrap();
    assert_eq!(builder.finish(PACK_ID).unwrap(), build(&[second]));
}

/// Text that zstd makes a quarter smaller.
fn noise(bytes: usize, seed: u64) -> String {
    let mut state = 2 * seed + 1;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(state % 64) as usize])
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// A pack of as many claims as a chunk may have fits into an item, even if their bodies are noise.
#[test]
fn full_chunk_fits_into_an_item() {
    for text_bytes in [0, 600, 3_000, 100_000] {
        let mut builder = PackBuilder::new();
        let mut estimate = 0;
        for number in 0..2_000 {
            let claim = packed_claim(1, &body(number, &noise(text_bytes, number as u64 + 7)));
            estimate += claim.pack_bytes();
            if estimate > MAX_CHUNK_BYTES {
                break;
            }
            builder.push(&claim).unwrap();
        }
        let pack = builder.finish(PACK_ID).unwrap();
        assert!(pack.item_bytes() <= MAX_CHUNK_BYTES + 10_000, "{text_bytes}: {} bytes", pack.item_bytes());
    }
}

/// The limit of an item is exact, and too many lines are refused because no one could read them.
#[test]
fn too_large_pack_is_refused() {
    let mut builder = PackBuilder::new();
    for number in 0..6 {
        builder.push(&packed_claim(1, &body(number, &noise(100_000, number as u64 + 7)))).unwrap();
    }
    match builder.finish(PACK_ID) {
        Err(PackTooLarge::Item { item_bytes }) => assert!(item_bytes > MAX_ITEM_BYTES),
        other => panic!("{:?}", other.map(|pack| pack.item_bytes())),
    }
    let mut builder = PackBuilder::new();
    let long = packed_claim(1, &body(1, &" ".repeat(1_000_000)));
    for _ in 0..17 {
        builder.push(&long).unwrap();
    }
    assert!(matches!(builder.finish(PACK_ID), Err(PackTooLarge::Lines { .. })));
}

proptest! {
    /// Every pack survives encoding, has the size that DynamoDB counts, and its lines are those of its claims.
    #[test]
    fn pack_survives_encoding(texts in prop::collection::vec("\\PC{0,200}|[\u{0}-\u{22}\\\\]{0,9}", 1..20)) {
        let claims: Vec<Claim> =
            texts.iter().enumerate().map(|(n, text)| packed_claim(u8::try_from(n).unwrap(), &body(n, text))).collect();
        let pack = build(&claims);
        let item = pack.clone().into_item();
        let size = |value: &AttributeValue| match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::B(bytes) => bytes.len(),
            AttributeValue::N(number) => number.len().div_ceil(2) + 1,
            other => panic!("a pack holds no {other:?}"),
        };
        let counted: usize = item.iter().map(|(name, value)| name.len() + size(value)).sum();
        prop_assert_eq!(pack.item_bytes(), counted);
        prop_assert_eq!(&Pack::from_item(item).unwrap(), &pack);
        prop_assert_eq!(read_lines(&pack).unwrap().len(), claims.len());
    }

    /// A packed claim survives encoding and has the size that DynamoDB counts.
    #[test]
    fn packed_claim_survives_encoding(text in "\\PC{0,600}") {
        let claim = packed_claim(1, &body(1, &text));
        let item = claim.to_item();
        prop_assert_eq!(claim.item_bytes(), crate::record::size_as_dynamodb_counts(&item));
        prop_assert_eq!(Claim::from_item(item).unwrap(), claim);
    }

    /// Any change of a pack's bytes gives an error or lines of the listed claims. It never panics.
    #[test]
    fn changed_frame_does_not_panic(at in 0..10_000_usize, byte: u8, ids in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut pack = build(&golden_claims());
        let at = at % pack.lines_zstd.len();
        pack.lines_zstd[at] = byte;
        let _ = read_lines(&pack);
        let mut item = pack.clone().into_item().into_inner();
        item.insert("claim_ids".to_owned(), AttributeValue::B(ids));
        if let Ok(pack) = Pack::from_item(item) {
            let _ = read_lines(&pack);
        }
    }
}
