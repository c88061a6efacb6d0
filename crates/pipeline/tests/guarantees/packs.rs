//! Parts of the guarantees' tests that only packs need.

use std::time::Duration;

use emulator::{Fault, Service};
use pipeline::names;
use pipeline::testkit::{
    World, archived_lines, body, reads_pack, request_text, wait_until, writes_claims, writes_pack,
};
use serde_json::json;
use tokio::time::sleep;

use crate::traffic::{Setup, counted, invoke};

/// A duplicate arrives while the pack of its claim is not closed, and no put of a pack succeeds. The messages become dead
/// letters, and only then may the claim have no line. A redriven message settles the claim.
pub(crate) async fn only_unacknowledged_claim_has_no_line(setup: Setup) {
    let world = World::start(setup.settings());
    world.fail(Service::DynamoDb, |call| writes_pack(call).then_some(Fault::Throttled));
    let lines = || world.lines(names::INGEST_FUNCTION).len();
    world.send(&body("a"));
    wait_until("the close has failed", || lines() == 1).await;
    world.send(&body("a"));
    wait_until("the duplicate is processed", || lines() == 2).await;
    let close_by_ms = world.claims().await["a"].layout.pack().unwrap().close_by_ms;
    let now_ms = world.services.clock.since_epoch().as_millis();
    assert!(now_ms < u128::from(close_by_ms), "the winner may still close the pack");
    wait_until("both messages are dead letters", || world.dead_letters() == 2).await;
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("failed", 6)]));
    world.wait_until_drained().await;
    world.assert_exactly_once().await;
    assert!(world.lake().is_empty());

    world.services.faults.clear();
    for body in world.take_all(names::DEAD_LETTER_QUEUE).await.into_values() {
        world.send(&body);
    }
    world.wait_until_drained().await;
    world.assert_exactly_once().await;
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("failed", 6), ("duplicate", 2)]));
}

/// The put of a pack reaches the table only after a duplicate has closed the pack with fewer claims. The late put changes
/// nothing, and each other claim gets a pack of its own.
pub(crate) async fn late_close_loses_no_line(setup: Setup) {
    let world = World::start(setup.settings());
    let late = Fault::RequestDelayed(Duration::from_secs(120));
    world.fail(Service::DynamoDb, move |call| writes_pack(call).then_some(late));
    world.send(&body("a"));
    world.send(&body("b"));
    wait_until("the close has failed", || world.lines(names::INGEST_FUNCTION).len() == 2).await;
    world.services.faults.clear();
    // After this time, a duplicate may close the pack.
    sleep(Duration::from_secs(30)).await;
    world.send(&body("a"));
    world.wait_until_drained().await;
    world.assert_exactly_once().await;
    let claims = world.claims().await;
    let own_pack = format!("/{}.json.gz", claims["b"].claim_id);
    assert!(archived_lines(&world.services)[&claims["b"].claim_id][0].key.ends_with(&own_pack));
    assert_eq!(world.lake().len(), 2);
}

/// Injects the fault first into each put of a pack, and then into each read of a pack.
pub(crate) async fn unknown_pack_is_not_a_duplicate(setup: Setup, fault: Fault) {
    let world = World::start(setup.settings());
    let outcome = |outcome: &str| world.outcomes(names::INGEST_FUNCTION).get(outcome).copied().unwrap_or_default();
    world.fail(Service::DynamoDb, move |call| writes_pack(call).then_some(fault));
    for event in ["a", "a", "b"] {
        world.send(&body(event));
    }
    wait_until("a batch is done", || world.lines(names::INGEST_FUNCTION).len() == 3).await;
    assert_eq!((outcome("failed"), world.counts(names::QUEUE).in_flight), (3, 3), "{fault:?}");
    world.services.faults.clear();
    world.wait_until_drained().await;
    assert_eq!((outcome("failed"), outcome("duplicate"), world.dead_letters()), (3, 3, 0), "{fault:?}");

    world.pipeline().ingest.scale_in();
    world.fail(Service::DynamoDb, move |call| reads_pack(call).then_some(fault));
    world.send(&body("a"));
    wait_until("another batch is done", || world.lines(names::INGEST_FUNCTION).len() == 7).await;
    assert_eq!((outcome("failed"), world.counts(names::QUEUE).in_flight), (4, 1), "{fault:?}");
    world.services.faults.clear();
    world.wait_until_drained().await;
    assert_eq!((outcome("duplicate"), world.dead_letters()), (4, 0), "{fault:?}");
    world.assert_exactly_once().await;
}

/// The claims are unfinished when the time for closing begins, and no put of a pack is answered.
pub(crate) async fn function_stops_while_it_closes(setup: Setup) {
    let world = World::start(setup.settings());
    world.services.faults.set(|call| {
        let is_quick = writes_claims(call) && request_text(call).contains("item-0-");
        (!is_quick).then_some(Fault::RequestDelayed(Duration::from_secs(3_600)))
    });
    let message = |n: usize| json!({ "messageId": n.to_string(), "body": body(&format!("item-{n}-")) });
    let (failed, took) = invoke(&world.pipeline().ingest, &(0..60).map(message).collect::<Vec<_>>()).await;
    assert_eq!((took.as_millis() / 100, failed.len()), (290, 60), "{took:?}");
}
