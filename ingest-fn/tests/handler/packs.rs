//! Tests of `LAKE_LAYOUT=packs`: chunks, and the close of their packs. Each test runs with single and with batched claims.

use std::time::Duration;

use claim::{Claim, Layout, Pack};
use emulator::Fault;
use serde_json::{Value, json};

use crate::world::{NOW, World};

pub(crate) const PACKS: &[(&str, &str)] = &[("LAKE_LAYOUT", "packs")];

pub(crate) const WRITES: [&str; 2] = ["single", "batch"];

/// Returns the body of an event.
pub(crate) fn event(id: &str) -> String {
    json!({ "event_id": id }).to_string()
}

/// Returns true if this is the body of a put that closes a pack.
pub(crate) fn is_close(body: &Value) -> bool {
    body["Item"]["sk"]["S"] == "PACK"
}

/// Returns true if this is the body of a put of this event's claim.
pub(crate) fn is_put_of(body: &Value, event_id: &str) -> bool {
    body["Item"]["pk"]["S"] == format!("EVENT#{event_id}")
}

/// Returns the event ids that each pack lists, and whether the pack has the id of its only claim. Fails if a pack's lines are
/// not those of its claims, or if two packs list the same claim.
pub(crate) async fn listed(world: &World) -> Vec<(Vec<String>, bool)> {
    let mut all = Vec::new();
    let mut listed = Vec::new();
    for pack in world.packs().await {
        let mut ids = Vec::new();
        let mut lines = pack.lines();
        while let Some(line) = lines.next_line().unwrap() {
            assert!(!all.contains(&line.claim_id), "the claim {} is in two packs", line.claim_id);
            all.push(line.claim_id);
            ids.push(line.event_id.into_owned());
        }
        ids.sort();
        listed.push((ids, pack.claim_ids.contains(pack.pack_id)));
    }
    listed.sort();
    listed
}

fn pack_of(claim: &Claim) -> uuid::Uuid {
    claim.layout.pack().unwrap().pack_id
}

/// The events of a batch become packed claims and one pack, which is written last.
#[tokio::test(start_paused = true)]
async fn batch_becomes_one_pack() {
    for writes in WRITES {
        let world = World::new(writes, PACKS);
        let bodies = ["a", "b", "c"].map(event);
        assert!(world.deliver(&[&bodies[0], &bodies[1], &bodies[1], &bodies[2]]).await.is_empty());
        assert_eq!(world.outcomes(), ["m0 won", "m1 won", "m2 duplicate", "m3 won"]);

        let claims = world.claims().await;
        let packs = world.packs().await;
        assert_eq!(packs.len(), 1, "{writes}");
        for claim in &claims {
            let pack = claim.layout.pack().unwrap();
            assert_eq!((pack.pack_id, pack.close_by_ms), (packs[0].pack_id, (NOW + 30) * 1_000));
            assert!(packs[0].claim_ids.contains(claim.claim_id));
        }
        assert_eq!(packs[0].ttl, claims[0].ttl + 86_400);
        assert_eq!(listed(&world).await, [(["a", "b", "c"].map(str::to_owned).to_vec(), false)]);
        let puts = world.sent("PutItem");
        assert!(is_close(puts.last().unwrap()) && puts.iter().filter(|put| is_close(put)).count() == 1);
        assert_eq!(puts.last().unwrap()["ConditionExpression"], "attribute_not_exists(pk)");
        assert_eq!(world.sent("GetItem").len(), 0);
        assert_eq!(world.cached_claims().len(), 3);
    }
}

/// Nothing is acknowledged, logged as won or cached before the pack is certainly closed, whatever happens to the request.
#[tokio::test(start_paused = true)]
async fn unknown_close_acknowledges_nothing() {
    let hour = Duration::from_secs(3_600);
    for fault in [
        Fault::RequestLost,
        Fault::AnswerLost,
        Fault::AnswerBroken,
        Fault::Throttled,
        Fault::Refused(403),
        Fault::Refused(500),
        Fault::EmptyAnswer,
        Fault::MalformedAnswer,
        Fault::RequestDelayed(hour),
        Fault::AnswerDelayed(hour),
        Fault::OldItemWithheld,
    ] {
        for writes in WRITES {
            let world = World::new(writes, PACKS);
            let withheld = fault == Fault::OldItemWithheld;
            if withheld {
                // The pack exists already. Its id is derived from the first random bytes.
                world.hold(other_pack(Claim::id_at(world.services.clock.now(), &[0; 10]))).await;
            }
            world.fail_requests(move |_, body, _| is_close(body).then_some(fault));
            let bodies = ["a", "b"].map(event);
            let reported = world.deliver(&[&bodies[0], &bodies[1], &bodies[0]]).await;
            if matches!(fault, Fault::AnswerLost | Fault::AnswerBroken) {
                // The SDK's second attempt gets no answer either.
                assert_eq!(reported, ["m0", "m1", "m2"], "{fault:?} {writes}");
            }
            assert_eq!(reported, ["m0", "m1", "m2"], "{fault:?} {writes}");
            assert_eq!(world.outcomes(), ["m0 failed", "m1 failed", "m2 failed"]);
            assert!(world.cached_claims().is_empty(), "{fault:?} {writes}");
            assert_eq!(world.claims().await.len(), 2);
        }
    }
}

/// If only the first answer to the close is lost, the SDK's second attempt finds the function's own pack.
#[tokio::test(start_paused = true)]
async fn retried_close_finds_its_own_pack() {
    for writes in WRITES {
        let world = World::new(writes, PACKS);
        let first = std::sync::atomic::AtomicBool::new(true);
        world.fail_requests(move |_, body, _| {
            (is_close(body) && first.swap(false, std::sync::atomic::Ordering::SeqCst)).then_some(Fault::AnswerLost)
        });
        let bodies = ["a", "b"].map(event);
        assert!(world.deliver(&[&bodies[0], &bodies[1]]).await.is_empty());
        assert_eq!(listed(&world).await, [(vec!["a".to_owned(), "b".to_owned()], false)]);
    }
}

/// A claim with an unknown outcome is not listed, and does not delay the pack of the others. Its message settles it later.
#[tokio::test(start_paused = true)]
async fn unknown_claim_is_not_listed() {
    for writes in WRITES {
        let world = World::new(writes, PACKS);
        world.fail_requests(|operation, body, _| match operation {
            "BatchExecuteStatement" => Some(Fault::StatementsUnknown(0b10)),
            _ => is_put_of(body, "b").then_some(Fault::AnswerLost),
        });
        let bodies = ["a", "b", "c"].map(event);
        assert_eq!(world.deliver(&[&bodies[0], &bodies[1], &bodies[2]]).await, ["m1"]);
        assert_eq!(listed(&world).await, [(vec!["a".to_owned(), "c".to_owned()], false)]);
        assert_eq!(world.cached_claims().len(), 2);

        world.fail(|_| None);
        assert!(world.deliver(&["{", &bodies[1]]).await == ["m0"], "the redelivered message is acknowledged");
        assert_eq!(world.outcomes(), ["m0 rejected", "m1 duplicate"]);
        let expected = [(vec!["a".to_owned(), "c".to_owned()], false), (vec!["b".to_owned()], true)];
        assert_eq!(listed(&world).await, expected, "{writes}");
    }
}

/// Returns the item of a pack that lists another claim.
fn other_pack(pack_id: uuid::Uuid) -> Value {
    let other = Claim::id_at(std::time::UNIX_EPOCH + Duration::from_secs(NOW), &[99; 10]);
    let pack = Pack { pack_id, claim_ids: claim_ids(&[other]), lines_zstd: vec![1], ttl: NOW + 100_000 };
    serde_json::to_value(pack.clone().into_item()).unwrap()
}

fn claim_ids(ids: &[uuid::Uuid]) -> claim::ClaimIds {
    let bytes = ids.iter().flat_map(|id| id.into_bytes()).collect();
    let item = std::collections::HashMap::from([("claim_ids".to_owned(), serde_dynamo::AttributeValue::B(bytes))]);
    claim::ClaimIds::from_item(item).unwrap()
}

/// If someone else has closed the pack without a claim, its winner puts the claim into a pack of its own. This put can have
/// an unknown outcome, too.
#[tokio::test(start_paused = true)]
async fn winner_follows_the_existing_pack() {
    for fault in [None, Some(Fault::AnswerLost), Some(Fault::Refused(403))] {
        let world = World::new("single", PACKS);
        world.hold(other_pack(Claim::id_at(world.services.clock.now(), &[0; 10]))).await;
        world.fail_requests(move |_, body, _| {
            fault.filter(|_| is_close(body) && body["Item"]["claim_ids"] == own_ids(body))
        });
        let bodies = ["a", "b"].map(event);
        let reported = world.deliver(&[&bodies[0], &bodies[1]]).await;
        let claims = world.claims().await;
        let packs = world.packs().await;
        let own: Vec<_> = packs.iter().filter(|pack| pack.claim_ids.contains(pack.pack_id)).collect();
        if fault.is_none() {
            assert!(reported.is_empty());
            assert!(claims.iter().all(|claim| own.iter().any(|pack| pack.pack_id == claim.claim_id)));
            assert_eq!(world.cached_claims().len(), 2);
        } else {
            assert_eq!(reported, ["m0", "m1"]);
            assert!(world.cached_claims().is_empty());
        }
        assert_eq!(own.len(), if fault == Some(Fault::Refused(403)) { 0 } else { 2 });
        assert!(claims.iter().all(|claim| pack_of(claim) == pack_of(&claims[0])));
    }
}

/// Returns the list that contains only the id in the partition key of a pack.
fn own_ids(body: &Value) -> Value {
    let id = body["Item"]["pk"]["S"].as_str().unwrap().strip_prefix("PACK#").unwrap();
    let ids = claim_ids(&[id.parse().unwrap()]);
    let pack = Pack { pack_id: uuid::Uuid::nil(), claim_ids: ids, lines_zstd: vec![], ttl: 0 };
    serde_json::to_value(pack.clone().into_item()).unwrap()["claim_ids"].clone()
}

/// If a pack with the claim's id exists and does not list the claim, the claim has no place.
#[tokio::test(start_paused = true)]
async fn foreign_pack_with_the_claim_id_fails() {
    let world = World::new("single", PACKS);
    for random in [0, 1] {
        world.hold(other_pack(Claim::id_at(world.services.clock.now(), &[random; 10]))).await;
    }
    assert_eq!(world.deliver(&[&event("a")]).await, ["m0"]);
    let error = world.lines()[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("does not list the claim with this id"), "{error}");
}

/// A pack that cannot be read fails the messages.
#[tokio::test(start_paused = true)]
async fn unreadable_pack_fails_its_messages() {
    let world = World::new("single", PACKS);
    let mut item = other_pack(Claim::id_at(world.services.clock.now(), &[0; 10]));
    item["claim_ids"] = json!({ "B": "AAAA" });
    world.hold(item).await;
    assert_eq!(world.deliver(&[&event("a")]).await, ["m0"]);
    let error = world.lines()[0]["error"].as_str().unwrap().to_owned();
    assert!(error.contains("cannot be read: `claim_ids` has 3 bytes"), "{error}");
}

/// A chunk has at most a thousand claims and 256 KiB. A claim that is larger than that has an object of its own.
#[tokio::test(start_paused = true)]
async fn chunks_are_limited() {
    for writes in WRITES {
        let world = World::new(writes, PACKS);
        let mut random = fastrand::Rng::with_seed(1);
        let mut noise = |bytes| std::iter::repeat_with(|| random.alphanumeric()).take(bytes).collect::<String>();
        let mut bodies: Vec<String> = (0..300).map(|n| event(&format!("small-{n}"))).collect();
        bodies.push(json!({ "event_id": "huge", "x": noise(400_000) }).to_string());
        bodies.extend((0..4).map(|n| json!({ "event_id": format!("large-{n}"), "x": noise(110_000) }).to_string()));
        let messages: Vec<&str> = bodies.iter().map(String::as_str).collect();
        assert!(world.deliver(&messages).await.is_empty(), "{writes}");
        let claims = world.claims().await;
        let huge = claims.iter().find(|claim| claim.event_id == "huge").unwrap();
        assert_eq!(huge.layout, Layout::Object, "{writes}");
        let packs = world.packs().await;
        assert_eq!(packs.iter().map(|pack| pack.claim_ids.len()).sum::<usize>(), 304, "{writes}");
        assert!((2..=4).contains(&packs.len()), "{writes}: {}", packs.len());
        assert!(packs.iter().all(|pack| pack.item_bytes() < 280_000), "{writes}");

        let many: Vec<String> = (0..1_100).map(|n| format!(r#"{{"event_id":"{n}"}}"#)).collect();
        let messages: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(world.deliver(&messages).await.is_empty());
        assert!(world.packs().await.iter().all(|pack| pack.claim_ids.len() <= 1_000), "{writes}");
    }
}

/// Puts that hang at the end of the time are not waited for: the pack is closed without them, before the deadline.
#[tokio::test(start_paused = true)]
async fn pack_is_closed_before_the_deadline() {
    for writes in WRITES {
        let world = World::new(writes, PACKS);
        world.fail_requests(|operation, body, _| match operation {
            "BatchExecuteStatement" => Some(Fault::StatementsThrottled(0b10)),
            _ => is_put_of(body, "b").then_some(Fault::RequestDelayed(Duration::from_secs(3_600))),
        });
        let records = |n: usize, id: &str| json!({ "messageId": format!("m{n}"), "body": event(id) });
        let reported = world.deliver_within(9_000, vec![records(0, "a"), records(1, "b"), records(2, "c")]).await;
        assert_eq!(reported, ["m1"], "{writes}");
        assert_eq!(listed(&world).await, [(vec!["a".to_owned(), "c".to_owned()], false)], "{writes}");
        let late = world.services.clock.now_ms();
        assert!(late < (NOW + 8) * 1_000, "{writes}: {late}");
    }
}

/// If nothing is won, no pack is written.
#[tokio::test(start_paused = true)]
async fn batch_without_a_winner_writes_no_pack() {
    for writes in WRITES {
        let world = World::new(writes, PACKS);
        let bodies = ["a", "b"].map(event);
        assert!(world.deliver(&[&bodies[0], &bodies[1]]).await.is_empty());
        let other = world.beside(writes, PACKS);
        assert!(other.deliver(&[&bodies[0], &bodies[1]]).await.is_empty());
        assert_eq!(world.packs().await.len(), 1);
        assert_eq!(other.sent("GetItem").len(), 1, "one read for both claims of the pack");
        assert_eq!(other.cached_claims().len(), 2);
        // Both claims are cached now.
        let requests = other.requests();
        assert!(other.deliver(&[&bodies[1]]).await.is_empty());
        assert_eq!(other.requests(), requests);
    }
}
