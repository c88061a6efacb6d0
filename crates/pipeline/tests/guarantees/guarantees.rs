//! Tests of the README's guarantees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use emulator::sqs::{Counts, QueueSettings, Redrive};
use emulator::{Call, Fault, Service};
use pipeline::testkit::{
    STARTS_AT_SECONDS, World, WriteCounts, archived_lines, body, reads_pack, request_text, services_at, wait_until,
    wait_until_within, writes_claims, writes_object, writes_pack,
};
use pipeline::{PipelineSettings, names};
use serde_json::{Value, json};
use tokio::time::advance;

use crate::exceptions::{
    edited_time_gives_no_second_line, only_repeated_panics_cost_the_line, unread_record_leaves_its_claim_in_the_table,
};
use crate::packs::{
    function_stops_while_it_closes, late_close_loses_no_line, only_unacknowledged_claim_has_no_line,
    unknown_pack_is_not_a_duplicate,
};
use crate::traffic::{
    DAY, FAULTS, Setup, VISIBILITY, counted, fate, filter_without_layout, invoke, stream_record, table_request,
};

/// Defines each test three times: with single writes of claims, with batched ones, and with packs.
macro_rules! guaranteed {
    (mod $module:ident = $setup:ident; $($name:ident)*) => {
        mod $module {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    super::$name(crate::traffic::Setup::$setup).await;
                }
            )*
        }
    };
    ($($name:ident)*) => {
        guaranteed! { mod with_single_writes = SINGLE; $($name)* }
        guaranteed! { mod with_batched_writes = BATCHED; $($name)* }
        guaranteed! { mod in_packs = PACKS; $($name)* }
    };
}

guaranteed! {
    one_line_per_claim
    no_message_is_lost
    unknown_outcome_is_not_a_duplicate
    bad_item_fails_alone
    one_write_per_event
    function_stops_before_its_deadline
    functions_only_put
    cache_holds_only_confirmed_claims
}

/// Returns a hook that injects one of `faults` into 30 % of the requests that write a claim, a pack or an object, or that
/// read a pack.
fn random_faults(seed: u64, faults: Vec<Fault>) -> impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static {
    let random = Mutex::new(fastrand::Rng::with_seed(seed));
    move |call| {
        let mut random = random.lock().unwrap();
        let is_chosen = writes_claims(call) || writes_pack(call) || reads_pack(call) || writes_object(call);
        (is_chosen && random.u8(..10) < 3).then(|| faults[random.usize(..faults.len())])
    }
}

/// Each claim has at most one line in the lake, in an object with one version. It has exactly one, unless the record of
/// the claim or of its pack was discarded after 22 hours, left the stream while the mapping was not running, or was
/// quarantined, or no message of a packed claim was acknowledged. A claim without a line stays in the table until its
/// `ttl`, where `ops replay` finds it. If a record was discarded, a message in the on-failure queue also names it.
async fn one_line_per_claim(setup: Setup) {
    let seeds = if setup.has_packs() { 2 } else { 4 };
    for seed in 0..seeds {
        let mut settings = setup.settings();
        if setup.has_packs() && seed % 2 == 1 {
            settings.stream_mapping.filter = filter_without_layout();
        }
        let world = World::start(settings);
        let faults = FAULTS.into_iter().chain([Fault::Refused(409)]).collect();
        world.services.faults.set(random_faults(seed, faults));
        for n in 0..90 {
            world.send(&body(&format!("event-{}", n % 30)));
        }
        world.wait_until_drained().await;
        assert!(!world.claims().await.is_empty());
        world.assert_exactly_once().await;
        assert!(world.lake().keys().all(|key| key.ends_with(".json.gz") == setup.has_packs()));
    }

    let world = World::start(setup.settings());
    world.fail(Service::S3, |call| call.operation.starts_with("PUT ").then_some(Fault::Refused(403)));
    world.send(&body("discarded"));
    wait_until_within(DAY, "the record is discarded", || world.counts(names::ON_FAILURE_QUEUE).visible > 0).await;
    let messages = world.take_all(names::ON_FAILURE_QUEUE).await;
    let message: Value = serde_json::from_str(messages.values().next().unwrap()).unwrap();
    let record = world.lines(names::ARCHIVE_FUNCTION)[0]["sequence_number"].clone();
    assert_eq!(message["DDBStreamBatchInfo"]["startSequenceNumber"], record);
    assert_eq!(message["DDBStreamBatchInfo"]["endSequenceNumber"], record);
    let claims = world.claims().await;
    let age = world.services.clock.since_epoch().as_secs() - claims["discarded"].claimed_at.timestamp().cast_unsigned();
    assert!((79_200..79_300).contains(&age), "{age} s");
    assert!(world.lake().is_empty());
    let _ = world.services.tables.sweep_ttl();
    assert_eq!(world.claims().await, claims);

    only_repeated_panics_cost_the_line(setup).await;
    edited_time_gives_no_second_line(setup).await;
    unread_record_leaves_its_claim_in_the_table(setup).await;
    if setup.has_packs() {
        only_unacknowledged_claim_has_no_line(setup).await;
        late_close_loses_no_line(setup).await;
    }
}

/// A message ends as a line in the lake, as a duplicate of one, as a conflict acknowledged by configuration, or in the
/// dead-letter queue, if it is first received at least `max_receive_count` visibility timeouts before its retention
/// ends.
async fn no_message_is_lost(setup: Setup) {
    let mut fates = BTreeMap::<_, usize>::new();
    for seed in 0..4 {
        let world = World::start(setup.settings());
        let random_faults = random_faults(seed, FAULTS.to_vec());
        world.services.faults.set(move |call| {
            let body = String::from_utf8_lossy(call.request.body());
            if body.contains("EVENT#never") { Some(Fault::Throttled) } else { random_faults(call) }
        });
        let mut sent = BTreeMap::new();
        for n in 0..60 {
            let event = format!("event-{}", n % 15);
            let bodies =
                [body(&event), json!({ "event_id": event, "n": n }).to_string(), "poison".into(), body("never")];
            let body = bodies[if n < 45 { 0 } else { n % 4 }].clone();
            sent.insert(world.send(&body), body);
        }
        world.wait_until_drained().await;
        world.assert_exactly_once().await;
        let mut claims = world.claims().await;
        claims.retain(|_, claim| world.is_archived(claim));
        let dead: BTreeSet<String> = world.take_all(names::DEAD_LETTER_QUEUE).await.into_keys().collect();
        for (message_id, body) in &sent {
            *fates.entry(fate(message_id, body, &claims, &dead)).or_default() += 1;
        }
        assert_eq!(fates.get(&None), None, "seed {seed}: {fates:?}");
    }
    let seen: Vec<_> = fates.into_keys().flatten().collect();
    assert_eq!(seen, ["conflict", "dead letter", "duplicate", "object"]);

    // A message that fails until its retention ends is a dead letter if its first receive was early enough. If it was not,
    // SQS deletes the message between two receives.
    let all_receives = VISIBILITY * PipelineSettings::default().max_receive_count;
    for (left, is_dead_letter) in [(all_receives + Duration::from_secs(30), true), (VISIBILITY * 5 / 2, false)] {
        let services = services_at(STARTS_AT_SECONDS);
        let long = QueueSettings { visibility_timeout: VISIBILITY, retention: DAY * 14, redrive: None };
        services.sqs.create_queue(names::DEAD_LETTER_QUEUE, long);
        let redrive = Redrive { dead_letter_queue: names::DEAD_LETTER_QUEUE.to_owned(), max_receive_count: 3 };
        let day = QueueSettings { visibility_timeout: VISIBILITY, retention: DAY, redrive: Some(redrive) };
        services.sqs.create_queue(names::QUEUE, day);
        services.sqs.send(names::QUEUE, &body("late")).unwrap();
        advance(DAY.checked_sub(left).unwrap()).await;
        let world = World::start_on(&services, setup.settings());
        world.fail(Service::DynamoDb, |call| writes_claims(call).then_some(Fault::Throttled));
        wait_until("the queue is empty", || world.counts(names::QUEUE) == Counts::default()).await;
        assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("failed", 3)]));
        world.services.faults.clear();
        assert!(world.claims().await.is_empty());
        assert_eq!(world.dead_letters(), usize::from(is_dead_letter), "{left:?} before the end of the retention");
    }
}

/// A throttle, a timeout, a 5xx or a missing answer is never treated as a duplicate, and a 409 from S3 is never treated
/// as "already there".
async fn unknown_outcome_is_not_a_duplicate(setup: Setup) {
    for fault in FAULTS {
        let world = World::start(setup.settings());
        world.fail(Service::DynamoDb, move |call| writes_claims(call).then_some(fault));
        let sent = ["a", "a", "b"].map(|event| world.send(&body(event)));
        wait_until("a batch is done", || world.lines(names::INGEST_FUNCTION).len() == 3).await;
        assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("failed", 3)]), "{fault:?}");
        assert_eq!(world.counts(names::QUEUE).in_flight, 3, "{fault:?}: {sent:?}");
        world.services.faults.clear();
        world.wait_until_drained().await;
        assert_eq!((archived_lines(&world.services).len(), world.dead_letters()), (2, 0), "{fault:?}");
        world.assert_exactly_once().await;
    }
    for fault in FAULTS.into_iter().chain([Fault::Refused(409)]) {
        let world = World::start(setup.settings());
        world.fail(Service::S3, move |call| call.operation.starts_with("PUT ").then_some(fault));
        world.send(&body("a"));
        wait_until("a batch is done", || !world.lines(names::ARCHIVE_FUNCTION).is_empty()).await;
        let outcomes = world.outcomes(names::ARCHIVE_FUNCTION);
        if matches!(fault, Fault::AnswerLost | Fault::AnswerDelayed(_) | Fault::RequestDelayed(_)) {
            // S3 has written the object, although the function did not get the answer.
            assert!(!outcomes.contains_key("written"), "{fault:?}: {outcomes:?}");
        } else {
            assert_eq!(outcomes, counted(&[("failed", 1)]), "{fault:?}");
            assert!(world.lake().is_empty());
        }
        world.services.faults.clear();
        world.wait_until_drained().await;
        world.assert_exactly_once().await;
    }
    if setup.has_packs() {
        for fault in FAULTS {
            unknown_pack_is_not_a_duplicate(setup, fault).await;
        }
    }
}

/// A bad message or record fails alone, even if it makes our code panic.
async fn bad_item_fails_alone(setup: Setup) {
    // With packs, the first four events share a pack. The fifth has a pack of its own.
    let world = World::start(setup.settings_with_batches_of(4));
    world.put_item(&[("pk", "EVENT#unusable"), ("sk", "CLAIM")]).await;
    world.services.faults.set(|call| {
        let body = request_text(call);
        assert!(!body.contains("EVENT#panics in ingest-fn"), "an intended panic");
        let is_object = call.operation.contains("/dt%3D");
        assert!(!(is_object && body.contains("panics in archive-fn")), "an intended panic");
        None
    });
    for event in ["a", "panics in ingest-fn", "b", "c", "panics in archive-fn"] {
        world.send(&body(event));
    }
    world.send("poison");
    let archived = || archived_lines(&world.services).len();
    let quarantined = || world.lake().keys().filter(|key| key.starts_with("events/_unusable/")).count();
    let both = || (archived(), quarantined());
    wait_until("three events are archived and the unusable record is quarantined", || both() == (3, 1)).await;
    let expected = counted(&[("won", 4), ("failed", 1), ("rejected", 1)]);
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), expected, "the good messages are not redelivered");
    let expected = counted(&[("written", 3), ("quarantined", 1), ("failed", 1)]);
    assert_eq!(world.outcomes(names::ARCHIVE_FUNCTION), expected, "only the record that panics fails");
    wait_until("the record that panics is quarantined", || quarantined() == 2).await;
    assert_eq!(archived(), 3);
    wait_until("the bad messages are dead letters", || world.dead_letters() == 2).await;

    world.services.faults.clear();
    world.send(&body("d"));
    wait_until("the shard continues", || archived() == 4).await;
    assert_eq!(world.counts(names::ON_FAILURE_QUEUE).visible, 0);
}

/// Messages of one event within a batch cost one write of a claim and succeed or fail together. With batched claims,
/// the write is an insert and at most one put.
async fn one_write_per_event(setup: Setup) {
    let world = World::start(setup.settings());
    let counts = world.count_writes();
    for _ in 0..10 {
        world.send(&body("a"));
    }
    world.wait_until_drained().await;
    let packs = usize::from(setup.has_packs());
    assert_eq!(
        *counts.lock().unwrap(),
        WriteCounts { claims: 1, packs, objects: 1 },
        "requests to the table and to the lake"
    );
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("won", 1), ("duplicate", 9)]));

    // Send two more events, and then the same two again to a new sandbox, whose cache is empty.
    let batched = setup.is_batched();
    for (new_sandbox, claims) in [(false, if batched { 1 } else { 2 }), (true, if batched { 3 } else { 2 })] {
        if new_sandbox {
            world.pipeline().ingest.scale_in();
        }
        let counts = world.count_writes();
        for n in 0..10 {
            world.send(&body(if n % 2 == 0 { "b" } else { "c" }));
        }
        world.wait_until_drained().await;
        let (packs, objects) = match (new_sandbox, setup.has_packs()) {
            (true, _) => (0, 0),
            (false, true) => (1, 1),
            (false, false) => (0, 2),
        };
        assert_eq!(*counts.lock().unwrap(), WriteCounts { claims, packs, objects }, "new sandbox: {new_sandbox}");
    }
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("won", 3), ("duplicate", 27)]));

    let world = World::start(setup.settings());
    world.fail(Service::DynamoDb, |_| Some(Fault::Throttled));
    for n in 0..10 {
        world.send(&json!({ "event_id": "a", "even": n % 2 == 0 }).to_string());
    }
    wait_until("the batch is done", || !world.lines(names::INGEST_FUNCTION).is_empty()).await;
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("failed", 10)]));
    world.services.faults.clear();
    world.wait_until_drained().await;
    let expected = counted(&[("failed", 10), ("won", 1), ("duplicate", 4), ("conflict", 5)]);
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), expected);
}

/// A function stops at least one second before its deadline and reports unfinished items as failed.
async fn function_stops_before_its_deadline(setup: Setup) {
    // Only the requests for the first of the 60 items and those for its pack are quick. The requests for the other items
    // take an hour, and the SDK waits 12 s for each, so the function cannot finish all items.
    let world = World::start(setup.settings());
    world.services.faults.set(|call| {
        let is_quick = request_text(call).contains("item-0-") || writes_pack(call);
        (!is_quick).then_some(Fault::RequestDelayed(Duration::from_secs(3_600)))
    });
    let bodies: Vec<String> = (0..60).map(|n| body(&format!("item-{n}-"))).collect();
    let messages = (0..60).zip(&bodies).map(|(n, body)| json!({ "messageId": n.to_string(), "body": body }));
    let records = (0..60).zip(&bodies).map(|(n, body)| stream_record(n, body, setup));
    for (function, batch) in [
        (&world.pipeline().ingest, messages.collect::<Vec<Value>>()),
        (&world.pipeline().archive, records.collect::<Vec<Value>>()),
    ] {
        let is_ingest = function.name() == names::INGEST_FUNCTION;
        let (failed, took) = invoke(function, &batch).await;
        // `ingest-fn` stops claiming five seconds earlier if it must still close packs.
        let seconds = if is_ingest && setup.has_packs() { 24 } else { 29 };
        assert_eq!(took.as_millis() / 100, seconds * 10, "{took:?}");
        // With batched writes, the request with the quick item's claim also contains the claims of 24 other items.
        let finished = if is_ingest && setup.is_batched() { 25 } else { 1 };
        assert_eq!((failed.len(), failed.contains("0")), (60 - finished, false));
    }
    if setup.has_packs() {
        world.services.faults.clear();
        world.wait_until_drained().await;
        let claims = world.claims().await;
        assert!(claims.keys().eq(["item-0-"]) && world.is_archived(&claims["item-0-"]));
        function_stops_while_it_closes(setup).await;
    }
}

/// `ingest-fn` only puts claims and packs into the table and reads only packs, and `archive-fn` only puts objects under
/// its prefix. Neither lists or deletes data. The Terraform policy tests assert that they have no other permissions.
async fn functions_only_put(setup: Setup) {
    let world = World::start(setup.settings());
    let requests = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&requests);
    let random_faults = random_faults(1, FAULTS.to_vec());
    world.services.faults.set(move |call| {
        seen.lock().unwrap().insert(match call.service {
            Service::DynamoDb => table_request(call),
            _ => {
                let folder = call.operation.split("/dt%3D").next().unwrap();
                (folder.to_owned(), call.request.headers()["if-none-match"] == "*")
            }
        });
        random_faults(call)
    });
    for n in 0..60 {
        world.send(&body(&format!("event-{}", n % 20)));
    }
    world.send("poison");
    let queue = || world.counts(names::QUEUE);
    wait_until("the queue is empty", || queue().visible + queue().in_flight == 0).await;
    // A new sandbox has an empty cache, so it has to write to the table again.
    world.pipeline().ingest.scale_in();
    for event in ["event-0", "event-1"] {
        world.send(&body(event));
    }
    wait_until("the queue is empty again", || queue().visible + queue().in_flight == 0).await;
    wait_until("more than ten events are archived", || archived_lines(&world.services).len() > 10).await;
    let bucket = format!("PUT /{}/events", names::BUCKET);
    let mut expected = vec!["PutItem EVENT", &bucket];
    if setup.is_batched() {
        expected.push("BatchExecuteStatement");
    }
    if setup.has_packs() {
        expected.extend(["PutItem PACK", "GetItem PACK"]);
    }
    let expected = expected.into_iter().map(|request| (request.to_owned(), true)).collect();
    assert_eq!(*requests.lock().unwrap(), expected);
}

/// The warm cache holds only claims that the table has confirmed.
async fn cache_holds_only_confirmed_claims(setup: Setup) {
    let mut choices: Vec<fn(&Call<'_>) -> bool> = vec![|_| true];
    if setup.has_packs() {
        // The table confirms the claims, but not the pack that contains their lines.
        choices.push(writes_pack);
    }
    for (fault, chosen) in FAULTS.into_iter().flat_map(|fault| choices.iter().map(move |chosen| (fault, *chosen))) {
        let settings = PipelineSettings { max_receive_count: 10, ..setup.settings() };
        let world = World::start(settings);
        world.fail(Service::DynamoDb, move |call| chosen(call).then_some(fault));
        world.send(&body("a"));
        world.send(&body("b"));
        wait_until("both messages have failed", || world.lines(names::INGEST_FUNCTION).len() == 2).await;
        assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("failed", 2)]), "{fault:?}");
        let counts = world.count_writes();
        world.wait_until_drained().await;
        // After a batched insert, `ingest-fn` may still put each of the two claims.
        let least = if setup.is_batched() { 1 } else { 2 };
        let most = if setup.is_batched() { 3 } else { 2 };
        let requests = counts.lock().unwrap().claims;
        assert!((least..=most).contains(&requests), "{fault:?}: {requests} requests to the table");
        assert!(world.is_archived(&world.claims().await["a"]));

        // The claim is now confirmed, so it is in the warm sandbox's cache.
        let duplicates = || world.outcomes(names::INGEST_FUNCTION).get("duplicate").copied();
        let before = duplicates();
        world.send(&body("a"));
        let counts = world.count_writes();
        wait_until("the duplicate is logged", || duplicates() > before).await;
        tokio::time::sleep(VISIBILITY).await;
        assert_eq!(*counts.lock().unwrap(), WriteCounts::default(), "{fault:?}");
        assert!(world.services.clock.since_epoch() < Duration::from_secs(1_800_000_000) + DAY);
    }
}
