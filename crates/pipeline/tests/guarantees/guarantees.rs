//! What is guaranteed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use emulator::{Call, Fault, Service};
use ingest_fn::ClaimWrites;
use pipeline::testkit::{
    World, WriteCounts, body, object_key, wait_until, wait_until_within, writes_claims, writes_object,
};
use pipeline::{PipelineSettings, names};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::traffic::{DAY, FAULTS, VISIBILITY, counted, fate, settings, stream_record};

/// Each is a test, once with every way to write claims.
macro_rules! guaranteed {
    ($($name:ident)*) => {
        mod with_single_writes {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    super::$name(ingest_fn::ClaimWrites::Single).await;
                }
            )*
        }

        mod with_batched_writes {
            $(
                #[tokio::test(start_paused = true)]
                async fn $name() {
                    super::$name(ingest_fn::ClaimWrites::Batch).await;
                }
            )*
        }
    };
}

guaranteed! {
    exactly_one_object_with_one_version
    a_message_never_ends_nowhere
    unknown_is_unknown
    a_bad_one_costs_itself_alone
    one_write_for_one_event
    a_function_stops_in_time
    functions_only_put
    only_what_is_confirmed_is_remembered
}

/// Something goes wrong with three of ten requests.
fn seeded(seed: u64, faults: Vec<Fault>) -> impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static {
    let random = Mutex::new(fastrand::Rng::with_seed(seed));
    move |call| {
        let mut random = random.lock().unwrap();
        let spared = !(writes_claims(call) || writes_object(call));
        (!spared && random.u8(..10) < 3).then(|| faults[random.usize(..faults.len())])
    }
}

/// Each won claim has at most one object in the lake, with one version. It has exactly one, unless the stream mapping
/// discarded its record after 22 hours or `archive-fn` quarantined the record. The claim then stays in the table until
/// its `ttl`, and a message in the on-failure queue names a discarded record.
async fn exactly_one_object_with_one_version(writes: ClaimWrites) {
    for seed in 0..4 {
        let world = World::start(settings(writes));
        let faults = FAULTS.into_iter().chain([Fault::Refused(409)]).collect();
        world.services.faults.set(seeded(seed, faults));
        for n in 0..90 {
            world.send(&body(&format!("event-{}", n % 30)));
        }
        world.wait_until_drained().await;
        assert!(!world.claims().await.is_empty());
        world.assert_exactly_once().await;
    }

    let world = World::start(settings(writes));
    world.fail(Service::S3, |call| call.operation.starts_with("PUT ").then_some(Fault::Refused(403)));
    world.send(&body("given up"));
    wait_until_within(DAY, "the record is given up", || world.counts(names::ON_FAILURE_QUEUE).visible > 0).await;
    let told = world.take_all(names::ON_FAILURE_QUEUE).await;
    let told: Value = serde_json::from_str(told.values().next().unwrap()).unwrap();
    let record = world.lines(names::ARCHIVE_FUNCTION)[0]["sequence_number"].clone();
    assert_eq!(told["DDBStreamBatchInfo"]["startSequenceNumber"], record);
    assert_eq!(told["DDBStreamBatchInfo"]["endSequenceNumber"], record);
    let claims = world.claims().await;
    let age = world.services.clock.since_epoch().as_secs() - claims["given up"].claimed_at.timestamp().cast_unsigned();
    assert!((79_200..79_300).contains(&age), "{age} s");
    assert!(world.lake().is_empty());
    let _ = world.services.tables.sweep_ttl();
    assert_eq!(world.claims().await, claims);
}

/// A message received within the queue's retention ends as an object, as a duplicate of one, as a conflict acknowledged
/// by configuration, or in the dead-letter queue.
async fn a_message_never_ends_nowhere(writes: ClaimWrites) {
    let mut fates = BTreeMap::<_, usize>::new();
    for seed in 0..4 {
        let world = World::start(settings(writes));
        let some = seeded(seed, FAULTS.to_vec());
        world.services.faults.set(move |call| {
            let body = String::from_utf8_lossy(call.request.body());
            if body.contains("EVENT#never") { Some(Fault::Throttled) } else { some(call) }
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
        let claims = world.claims().await;
        let dead: BTreeSet<String> = world.take_all(names::DEAD_LETTER_QUEUE).await.into_keys().collect();
        for (message_id, body) in &sent {
            *fates.entry(fate(message_id, body, &claims, &dead)).or_default() += 1;
        }
        assert_eq!(fates.get(&None), None, "seed {seed}: {fates:?}");
    }
    let seen: Vec<_> = fates.into_keys().flatten().collect();
    assert_eq!(seen, ["conflict", "dead letter", "duplicate", "object"]);
}

/// A throttle, a timeout, a 5xx or a missing answer is never treated as a duplicate, and a 409 from S3 is never treated
/// as "already there".
async fn unknown_is_unknown(writes: ClaimWrites) {
    for fault in FAULTS {
        let world = World::start(settings(writes));
        world.fail(Service::DynamoDb, move |call| writes_claims(call).then_some(fault));
        let sent = ["a", "a", "b"].map(|event| world.send(&body(event)));
        wait_until("a batch is done", || world.lines(names::INGEST_FUNCTION).len() == 3).await;
        assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("failed", 3)]), "{fault:?}");
        assert_eq!(world.counts(names::QUEUE).in_flight, 3, "{fault:?}: {sent:?}");
        world.services.faults.clear();
        world.wait_until_drained().await;
        assert_eq!((world.lake().len(), world.dead_letters()), (2, 0), "{fault:?}");
        world.assert_exactly_once().await;
    }
    for fault in FAULTS.into_iter().chain([Fault::Refused(409)]) {
        let world = World::start(settings(writes));
        world.fail(Service::S3, move |call| call.operation.starts_with("PUT ").then_some(fault));
        world.send(&body("a"));
        wait_until("a batch is done", || !world.lines(names::ARCHIVE_FUNCTION).is_empty()).await;
        let outcomes = world.outcomes(names::ARCHIVE_FUNCTION);
        if matches!(fault, Fault::AnswerLost | Fault::AnswerDelayed(_) | Fault::RequestDelayed(_)) {
            // The object was written all the same.
            assert!(!outcomes.contains_key("written"), "{fault:?}: {outcomes:?}");
        } else {
            assert_eq!(outcomes, counted(&[("failed", 1)]), "{fault:?}");
            assert!(world.lake().is_empty());
        }
        world.services.faults.clear();
        world.wait_until_drained().await;
        world.assert_exactly_once().await;
    }
}

/// A bad message or record fails alone, even if it makes our code panic.
async fn a_bad_one_costs_itself_alone(writes: ClaimWrites) {
    let world = World::start(settings(writes));
    world.put_item(&[("pk", "EVENT#unusable"), ("sk", "CLAIM")]).await;
    world.services.faults.set(|call| {
        let body = String::from_utf8_lossy(call.request.body());
        assert!(!body.contains("EVENT#panics in ingest-fn"), "a panic, as the test wants it");
        let is_object = call.operation.contains("/dt%3D");
        assert!(!(is_object && body.contains("panics in archive-fn")), "a panic, as the test wants it");
        None
    });
    for event in ["a", "panics in ingest-fn", "b", "panics in archive-fn", "c"] {
        world.send(&body(event));
    }
    world.send("poison");
    let objects = || world.lake().len();
    wait_until("three are archived, and two records are kept", || objects() == 5).await;
    let done = counted(&[("won", 4), ("failed", 1), ("rejected", 1)]);
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), done, "the good ones did not come again");
    assert_eq!(world.outcomes(names::ARCHIVE_FUNCTION), counted(&[("written", 3), ("quarantined", 2)]));
    assert_eq!(world.lake().keys().filter(|key| key.starts_with("events/_unusable/")).count(), 2);
    wait_until("the bad messages are dead letters", || world.dead_letters() == 2).await;

    world.services.faults.clear();
    world.send(&body("d"));
    wait_until("the shard goes on", || objects() == 6).await;
    assert_eq!(world.counts(names::ON_FAILURE_QUEUE).visible, 0);
}

/// Messages of one event within a batch cost one write and succeed or fail together. With batched claims, the write is an
/// insert and at most one put.
async fn one_write_for_one_event(writes: ClaimWrites) {
    let world = World::start(settings(writes));
    let counts = world.count_writes();
    for _ in 0..10 {
        world.send(&body("a"));
    }
    world.wait_until_drained().await;
    assert_eq!(*counts.lock().unwrap(), WriteCounts { claims: 1, objects: 1 }, "requests to the table and to the lake");
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("won", 1), ("duplicate", 9)]));

    // Two events more, and then the same to a sandbox that has forgotten them.
    let batched = writes == ClaimWrites::Batch;
    for (forgotten, requests) in [(false, if batched { 1 } else { 2 }), (true, if batched { 3 } else { 2 })] {
        if forgotten {
            world.pipeline().ingest.scale_in();
        }
        let counts = world.count_writes();
        for n in 0..10 {
            world.send(&body(if n % 2 == 0 { "b" } else { "c" }));
        }
        world.wait_until_drained().await;
        assert_eq!(counts.lock().unwrap().claims, requests, "requests to the table, forgotten: {forgotten}");
    }
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("won", 3), ("duplicate", 27)]));

    let world = World::start(settings(writes));
    world.fail(Service::DynamoDb, |_| Some(Fault::Throttled));
    for n in 0..10 {
        world.send(&json!({ "event_id": "a", "even": n % 2 == 0 }).to_string());
    }
    wait_until("the batch is done", || !world.lines(names::INGEST_FUNCTION).is_empty()).await;
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), counted(&[("failed", 10)]));
    world.services.faults.clear();
    world.wait_until_drained().await;
    let then = counted(&[("failed", 10), ("won", 1), ("duplicate", 4), ("conflict", 5)]);
    assert_eq!(world.outcomes(names::INGEST_FUNCTION), then);
}

/// A function stops one second before its deadline and reports unfinished items as failed.
async fn a_function_stops_in_time(writes: ClaimWrites) {
    // Of its 60 items, one is quick. The others' requests take an hour, and the SDK gives each 12 s; there is no time for all.
    let world = World::start(settings(writes));
    world.services.faults.set(|call| {
        let is_quick = String::from_utf8_lossy(call.request.body()).contains("item-0");
        (!is_quick).then_some(Fault::RequestDelayed(Duration::from_secs(3_600)))
    });
    let bodies: Vec<String> = (0..60).map(|n| body(&format!("item-{n}-"))).collect();
    let messages = (0..60).zip(&bodies).map(|(n, body)| json!({ "messageId": n.to_string(), "body": body }));
    let records = (0..60).zip(&bodies).map(|(n, body)| stream_record(n, body));
    for (function, batch) in [
        (&world.pipeline().ingest, messages.collect::<Vec<Value>>()),
        (&world.pipeline().archive, records.collect::<Vec<Value>>()),
    ] {
        let begun = Instant::now();
        let answer = function.invoke(json!({ "Records": batch }).to_string().into_bytes()).await.unwrap();
        let took = begun.elapsed();
        assert!((Duration::from_secs(29)..Duration::from_millis(29_100)).contains(&took), "{took:?}");
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let failed = answer["batchItemFailures"].as_array().unwrap().iter();
        let failed: BTreeSet<&str> = failed.map(|failed| failed["itemIdentifier"].as_str().unwrap()).collect();
        // The quick one's request may have others' claims in it.
        let with_it = if function.name() == names::INGEST_FUNCTION && writes == ClaimWrites::Batch { 25 } else { 1 };
        assert_eq!((failed.len(), failed.contains("0")), (60 - with_it, false));
    }
}

/// `ingest-fn` only puts claims into the table, and `archive-fn` only puts objects under its prefix. Neither reads, lists
/// or deletes data. The Terraform policy tests assert that they have no other permissions.
async fn functions_only_put(writes: ClaimWrites) {
    let world = World::start(settings(writes));
    let requests = Arc::new(Mutex::new(BTreeSet::new()));
    let (seen, some) = (Arc::clone(&requests), seeded(1, FAULTS.to_vec()));
    world.services.faults.set(move |call| {
        let conditional = match call.service {
            Service::DynamoDb => {
                let request: Value = serde_json::from_slice(call.request.body()).unwrap();
                let insert = format!("INSERT INTO \"{}\" VALUE {{", names::TABLE);
                let is_insert = |statement: &Value| statement["Statement"].as_str().unwrap().starts_with(&insert);
                match request["Statements"].as_array() {
                    Some(statements) => statements.iter().all(is_insert),
                    None => request["ConditionExpression"].is_string() && request["TableName"] == names::TABLE,
                }
            }
            _ => call.request.headers()["if-none-match"] == "*",
        };
        let folder = call.operation.rsplit_once('/').map_or(&*call.operation, |(folder, _)| folder);
        let folder = folder.split("/dt%3D").next().unwrap_or(folder).to_owned();
        seen.lock().unwrap().insert((folder, conditional));
        some(call)
    });
    for n in 0..60 {
        world.send(&body(&format!("event-{}", n % 20)));
    }
    world.send("poison");
    let queue = || world.counts(names::QUEUE);
    wait_until("the queue is empty", || queue().visible + queue().in_flight == 0).await;
    // A sandbox that has forgotten what is claimed is told by the table.
    world.pipeline().ingest.scale_in();
    for event in ["event-0", "event-1"] {
        world.send(&body(event));
    }
    wait_until("the queue is empty again", || queue().visible + queue().in_flight == 0).await;
    wait_until("something is archived", || world.lake().len() > 10).await;
    let bucket = format!("PUT /{}/events", names::BUCKET);
    let mut expected = BTreeSet::from([("PutItem".to_owned(), true), (bucket, true)]);
    if writes == ClaimWrites::Batch {
        expected.insert(("BatchExecuteStatement".to_owned(), true));
    }
    assert_eq!(*requests.lock().unwrap(), expected);
}

/// The warm cache holds only claims that the table has confirmed.
async fn only_what_is_confirmed_is_remembered(writes: ClaimWrites) {
    for fault in FAULTS {
        let settings = PipelineSettings { max_receive_count: 10, ..settings(writes) };
        let world = World::start(settings);
        world.fail(Service::DynamoDb, move |_| Some(fault));
        world.send(&body("a"));
        world.send(&body("b"));
        wait_until("they have failed", || world.lines(names::INGEST_FUNCTION).len() == 2).await;
        let counts = world.count_writes();
        world.wait_until_drained().await;
        // A batched insert may have to be followed by a put of each.
        let at_most = if writes == ClaimWrites::Batch { 3 } else { 2 };
        let least = if writes == ClaimWrites::Batch { 1 } else { 2 };
        let asked = counts.lock().unwrap().claims;
        assert!((least..=at_most).contains(&asked), "{fault:?}: the table was asked {asked} times");
        let claim = world.claims().await["a"].clone();
        assert!(world.lake().contains_key(&object_key(&claim)));

        // Now that it is confirmed, the warm sandbox knows it.
        world.send(&body("a"));
        let counts = world.count_writes();
        wait_until("it is judged", || world.outcomes(names::INGEST_FUNCTION).contains_key("duplicate")).await;
        tokio::time::sleep(VISIBILITY).await;
        assert_eq!(*counts.lock().unwrap(), WriteCounts::default(), "{fault:?}");
        assert!(world.services.clock.since_epoch() < Duration::from_secs(1_800_000_000) + DAY);
    }
}
