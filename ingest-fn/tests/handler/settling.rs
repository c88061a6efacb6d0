//! Tests of settling: duplicates and conflicts of packed claims, and replaced packed claims.

use std::time::Duration;

use emulator::Fault;
use serde_json::{Value, json};

use crate::packs::{PACKS, WRITES, event, is_close, listed};
use crate::world::{NOW, WINDOW, World};

const OBJECTS: &[(&str, &str)] = &[];

fn record(id: &str, body: &str, receives: u32) -> Value {
    json!({ "messageId": id, "body": body, "attributes": { "ApproximateReceiveCount": receives.to_string() } })
}

/// Returns a sandbox that has claimed the events `a` and `b` as messages `m0` and `m1`, but could not close their pack.
async fn world_with_open_pack(writes: &str) -> World {
    let world = World::new(writes, PACKS);
    world.fail_requests(|_, body, _| is_close(body).then_some(Fault::Refused(403)));
    let bodies = ["a", "b"].map(event);
    assert_eq!(world.deliver(&[&bodies[0], &bodies[1]]).await, ["m0", "m1"]);
    assert_eq!(world.claims().await.len(), 2);
    world.fail(|_| None);
    world
}

/// Returns the first line about a message. The sandboxes share a log.
fn line_of(message_id: &str, world: &World) -> Value {
    world.lines().into_iter().find(|line| line["message_id"] == message_id).unwrap()
}

fn both() -> Vec<(Vec<String>, bool)> {
    vec![(vec!["a".to_owned(), "b".to_owned()], false)]
}

/// Duplicates and conflicts of other messages wait for the winner. After two seconds they fail, because the winner may still
/// close the pack. The layout of the claim counts, not the setting.
#[tokio::test(start_paused = true)]
async fn duplicate_waits_for_the_winner() {
    for set in [PACKS, OBJECTS] {
        for body in [event("a"), json!({ "event_id": "a", "v": 1 }).to_string()] {
            let other = world_with_open_pack("single").await.beside("single", set);
            let began = other.services.clock.now_ms();
            assert_eq!(other.deliver_records(vec![record("x", &body, 1)]).await, ["x"]);
            assert!((2_000..2_500).contains(&(other.services.clock.now_ms() - began)));
            assert!(other.packs().await.is_empty() && other.cached_claims().is_empty());
            let line = line_of("x", &other);
            assert!(line["error"].as_str().unwrap().contains("is not closed yet"), "{line}");
        }
    }
}

/// A redelivered message of the winner settles the claim, and so does a last receive. Both claims of the pack are listed if
/// both are in the batch.
#[tokio::test(start_paused = true)]
async fn own_message_and_last_receive_settle() {
    for (writes, set) in [("single", PACKS), ("batch", PACKS), ("single", OBJECTS)] {
        for records in [
            vec![record("m0", &event("a"), 1), record("m1", &event("b"), 1)],
            vec![record("x", &event("a"), 3), record("y", &event("b"), 1)],
            // The follower has the message id of the claim.
            vec![record("x", &event("a"), 1), record("m0", &event("a"), 1), record("y", &event("b"), 1)],
        ] {
            let other = world_with_open_pack(writes).await.beside(writes, set);
            assert!(other.deliver_records(records).await.is_empty());
            assert_eq!(listed(&other).await, both());
            assert!(other.lines().iter().all(|line| line["outcome"] != "won"));
        }
    }
}

/// After the winner's deadline, any duplicate or conflict settles the claim, without waiting.
#[tokio::test(start_paused = true)]
async fn duplicate_settles_after_close_by() {
    for body in [event("a"), json!({ "event_id": "a", "v": 1 }).to_string()] {
        let other = world_with_open_pack("single").await.beside("single", OBJECTS);
        tokio::time::advance(Duration::from_secs(31)).await;
        let began = other.services.clock.now_ms();
        assert!(other.deliver_records(vec![record("x", &body, 1)]).await.is_empty());
        assert!(other.services.clock.now_ms() - began < 250);
        assert_eq!(listed(&other).await, [(vec!["a".to_owned()], false)]);
        assert_eq!(other.cached_claims().len(), 1);
        let line = line_of("x", &other);
        assert_eq!(line["outcome"] == "conflict", body != event("a"));
        assert_eq!(line.get("differs"), (body != event("a")).then(|| json!(r#"["/v"]"#)).as_ref());

        // The other claim of the pack is not listed, so it gets a pack of its own.
        assert!(other.deliver_records(vec![record("x", &event("b"), 1)]).await.is_empty());
        assert_eq!(listed(&other).await, [(vec!["a".to_owned()], false), (vec!["b".to_owned()], true)]);
    }
}

/// While a duplicate waits, the winner closes the pack.
#[tokio::test(start_paused = true)]
async fn duplicate_finds_the_pack_that_the_winner_closes() {
    let world = World::new("single", PACKS);
    let other = world.beside("single", PACKS);
    let bodies = ["a", "b"].map(event);
    // Each sandbox sets the faults of all sandboxes.
    world.fail_requests(|_, body, _| is_close(body).then_some(Fault::RequestDelayed(Duration::from_secs(1))));
    let messages = bodies.each_ref().map(String::as_str);
    let winner = world.deliver(&messages);
    let duplicate = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        other.deliver_records(vec![record("x", &bodies[0], 1)]).await
    };
    let (winner, duplicate) = tokio::join!(winner, duplicate);
    assert!(winner.is_empty() && duplicate.is_empty(), "{winner:?} {duplicate:?}");
    assert_eq!(listed(&world).await, both());
}

/// A read or a close of a duplicate with an unknown outcome acknowledges nothing.
#[tokio::test(start_paused = true)]
async fn unknown_outcome_of_settling_is_a_failure() {
    for fault in [
        Fault::RequestLost,
        Fault::AnswerLost,
        Fault::Throttled,
        Fault::Refused(403),
        Fault::EmptyAnswer,
        Fault::MalformedAnswer,
        Fault::RequestDelayed(Duration::from_secs(3_600)),
    ] {
        for operation in ["GetItem", "PutItem"] {
            let other = world_with_open_pack("single").await.beside("single", PACKS);
            other.fail_requests(move |sent, body, _| {
                (sent == operation && (sent == "GetItem" || is_close(body))).then_some(fault)
            });
            assert_eq!(other.deliver_records(vec![record("m0", &event("a"), 1)]).await, ["m0"], "{fault:?}");
            assert!(other.cached_claims().is_empty());

            other.fail(|_| None);
            assert!(other.deliver_records(vec![record("m0", &event("a"), 2)]).await.is_empty(), "{fault:?}");
            assert_eq!(listed(&other).await, [(vec!["a".to_owned()], false)], "{fault:?}");
        }
    }
}

/// An expired packed claim that is replaced is settled first, whatever the setting. Its line has the old body.
#[tokio::test(start_paused = true)]
async fn replaced_claim_is_settled() {
    for (writes, set) in [("single", PACKS), ("batch", PACKS), ("single", OBJECTS), ("batch", OBJECTS)] {
        let world = world_with_open_pack("single").await;
        let old = world.claims().await;
        let other = world.beside(writes, set);
        tokio::time::advance(Duration::from_secs(WINDOW + 1)).await;
        let bodies = ["a", "b"].map(|id| json!({ "event_id": id, "v": 2 }).to_string());
        assert!(other.deliver(&[&bodies[0], &bodies[1]]).await.is_empty(), "{writes} {set:?}");
        assert_eq!(other.outcomes(), ["m0 won", "m1 won"]);
        let packs = other.packs().await;
        let pack = packs.iter().find(|pack| pack.claim_ids.contains(old[0].claim_id)).unwrap();
        assert_eq!(pack.pack_id, old[0].layout.pack().unwrap().pack_id);
        assert_eq!(pack.lines().next_line().unwrap().unwrap().text, claim::object::object_line(&old[0]).unwrap());
        assert_eq!(packs.len(), if set == PACKS { 2 } else { 1 }, "{writes} {set:?}");
        listed(&other).await;
    }
}

/// If the replaced claim cannot be settled, its message fails. The new claim is in the pack of its chunk nevertheless.
#[tokio::test(start_paused = true)]
async fn unsettled_replaced_claim_fails_its_message() {
    for set in [PACKS, OBJECTS] {
        let world = world_with_open_pack("single").await;
        let other = world.beside("single", set);
        tokio::time::advance(Duration::from_secs(WINDOW + 1)).await;
        other.fail_on(|operation, _| (operation == "GetItem").then_some(Fault::Refused(403)));
        let bodies = [event("a"), event("c")];
        assert_eq!(other.deliver(&[&bodies[0], &bodies[1]]).await, ["m0"]);
        assert_eq!(other.cached_claims().len(), 1);
        let expected = [(vec!["a".to_owned(), "c".to_owned()], false)];
        assert_eq!(listed(&other).await, expected[..usize::from(set == PACKS)]);
    }
}

/// A claim that expired more than half a day ago is not settled: its pack may have been deleted.
#[tokio::test(start_paused = true)]
async fn old_replaced_claim_is_not_settled() {
    for (age, settles) in [(12 * 3_600, true), (12 * 3_600 + 1, false)] {
        let world = world_with_open_pack("single").await;
        let other = world.beside("single", OBJECTS);
        tokio::time::advance(Duration::from_secs(WINDOW + age)).await;
        assert_eq!(other.services.clock.now_ms() / 1_000, NOW + WINDOW + age);
        assert!(other.deliver(&[&event("a")]).await.is_empty());
        assert_eq!(other.packs().await.len(), usize::from(settles), "{age}");
        assert_eq!(other.sent("GetItem").len(), usize::from(settles), "{age}");
    }
}

/// A packed claim that does not name its pack cannot be settled, so its duplicates fail.
#[tokio::test(start_paused = true)]
async fn packed_claim_without_pack_fails() {
    for writes in WRITES {
        let world = world_with_open_pack("single").await;
        let mut item = serde_json::to_value(world.claims().await[0].to_item()).unwrap();
        item.as_object_mut().unwrap().remove("pack_id");
        let other = world.beside(writes, PACKS);
        other.hold(item).await;
        assert_eq!(other.deliver_records(vec![record("x", &event("a"), 1)]).await, ["x"]);
        let line = line_of("x", &other);
        assert!(line["error"].as_str().unwrap().contains("no `pack_id`"), "{line}");
    }
}

/// Too many claims to settle do not use up the function's memory. Those that are too many fail.
#[tokio::test(start_paused = true)]
async fn claims_to_settle_are_limited() {
    let world = World::new("single", PACKS);
    let mut random = fastrand::Rng::with_seed(1);
    world.fail_requests(|_, body, _| is_close(body).then_some(Fault::Refused(403)));
    let mut conflicts = Vec::new();
    for n in 0..50 {
        let noise: String = std::iter::repeat_with(|| random.alphanumeric()).take(250_000).collect();
        let body = json!({ "event_id": n.to_string(), "x": noise }).to_string();
        assert_eq!(world.deliver(&[&body]).await, ["m0"]);
        conflicts.push(record(&format!("x{n}"), &event(&n.to_string()), 3));
    }
    world.fail(|_| None);
    let other = world.beside("single", OBJECTS);
    tokio::time::advance(Duration::from_secs(31)).await;
    let failed = other.deliver_records(conflicts.clone()).await.len();
    assert!((1..20).contains(&failed), "{failed}");
    assert_eq!(other.packs().await.len(), 50 - failed);
    assert!(other.deliver_records(conflicts).await.is_empty());
    assert_eq!(other.packs().await.len(), 50);
}
