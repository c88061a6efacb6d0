//! Behaviors of DynamoDB Streams. Tests read the table's stream with the same API requests as the stream mapping.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodbstreams::types::{
    AttributeValue as StreamValue, OperationType, Record, ShardIteratorType, StreamRecord,
};
use aws_smithy_types::Blob;
use claim::Claim;
use claim::key::SORT_KEY;

use crate::behavior::{Behavior, behavior};
use crate::claims::{HOUR, Item, claim, now_seconds, put};
use crate::engine::Engine;
use crate::outcome::{Mismatch, Outcome, ensure, eventually, expect_eq};
use crate::partiql;
use crate::stage::{Stage, Table};

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(Streams, "A new claim appears as INSERT with its new image", new_claim_is_insert_record),
        behavior!(Streams, "A takeover appears as MODIFY with its new image", takeover_is_modify_record),
        behavior!(Streams, "A batched insert appears as INSERT with its new image", batched_insert_is_insert_record)
            .differs(
                Engine::Ministack,
                r#"records of a batched insert and a takeover: got ["MODIFY"], expected ["INSERT", "MODIFY"]"#,
                "We trust the other engines and the developer guide: a stream contains every modification of an item. \
                 ministack writes no stream records for PartiQL, so batched claims cannot be archived on it.",
            ),
        behavior!(Streams, "A put that changes nothing writes no record", unchanged_put_writes_no_record).differs(
            Engine::Embedded,
            "records of three equal puts and a different one: got [\"INSERT\", \"MODIFY\", \"MODIFY\", \"MODIFY\"], \
             expected [\"INSERT\", \"MODIFY\"]",
            "We trust DynamoDB Local, which is AWS's own engine, and the developer guide. dynoxide, which the embedded \
             services use, writes a record for every put. We accept the difference: each claim has its own id, so a \
             successful put always changes the item. Even a surplus record would not produce a second object.",
        ),
        behavior!(Streams, "A failed condition writes no record", failed_condition_writes_no_record),
        behavior!(Streams, "A deletion appears as REMOVE without a new image", deletion_is_remove_without_new_image),
        behavior!(
            Streams,
            "A deletion by TTL appears as REMOVE with the user identity `dynamodb.amazonaws.com`",
            ttl_deletion_is_remove_by_service
        )
        .differs(
            Engine::DynamoDbLocal,
            r#"records of a claim and its deletion: got ["INSERT", "UNKNOWN_TO_SDK_VERSION"], expected ["INSERT", "REMOVE"]"#,
            "We trust the developer guide. The difference does not matter: with either event name, the record of the \
             deletion has no new image, so the filter of the stream mapping drops it. `archive-fn` would also skip it, \
             because it does not know the event name.",
        )
        .not_on(Engine::Ministack, "TTL deletes expired items every minute, but the deletions do not appear in the stream.")
        .not_on(Engine::Aws, "TTL deletes items within a few days, and no test waits that long."),
        behavior!(Streams, "The records of an item arrive in the order of its writes", records_of_key_are_in_write_order),
        behavior!(Streams, "Reading a shard can resume after a sequence number", shard_resumes_after_sequence_number),
        behavior!(
            Streams,
            "A record contains its id, its source, the item's key, a sequence number and a time, but no old image",
            record_has_id_source_key_number_and_time
        ),
        behavior!(Streams, "The new image equals the claim that was written", new_image_equals_claim),
    ]
}

/// Reads a shard's records: all of them, or only those after the sequence number `after`. Stops at the end of the shard
/// or after three empty pages.
async fn read(stage: &Stage, table: &Table, shard: &str, after: Option<&str>) -> Result<Vec<Record>, Mismatch> {
    let from = if after.is_some() { ShardIteratorType::AfterSequenceNumber } else { ShardIteratorType::TrimHorizon };
    let request = stage.archive.streams.get_shard_iterator().stream_arn(&table.stream_arn).shard_id(shard);
    let request = request.shard_iterator_type(from).set_sequence_number(after.map(str::to_owned));
    let mut records = Vec::new();
    let mut iterator = request.send().await?.shard_iterator;
    let mut empty_pages = 0;
    // A page with records can follow an empty page.
    while let Some(position) = iterator
        && empty_pages < 3
    {
        let page = stage.archive.streams.get_records().shard_iterator(position).send().await?;
        let found = page.records.unwrap_or_default();
        empty_pages = if found.is_empty() { empty_pages + 1 } else { 0 };
        records.extend(found);
        iterator = page.next_shard_iterator;
    }
    Ok(records)
}

async fn shards(stage: &Stage, table: &Table) -> Result<Vec<String>, Mismatch> {
    let stream = stage.archive.streams.describe_stream().stream_arn(&table.stream_arn).send().await?.stream_description;
    let shards = stream.and_then(|stream| stream.shards).unwrap_or_default();
    Ok(shards.into_iter().filter_map(|shard| shard.shard_id).collect())
}

fn stream_record(record: &Record) -> &StreamRecord {
    record.dynamodb.as_ref().expect("a record has a stream record")
}

fn is_record_of(record: &Record, event_id: &str) -> bool {
    let pk = stream_record(record).keys.as_ref().and_then(|keys| keys.get("pk"));
    pk == Some(&StreamValue::S(Claim::partition_key(event_id)))
}

/// Waits until the stream has `at_least` records of the event, and returns all records of the event.
async fn records(stage: &Stage, event_id: &str, at_least: usize) -> Result<Vec<Record>, Mismatch> {
    let table = stage.streamed().await?;
    eventually(&format!("{at_least} records of a key"), async || {
        let mut found = Vec::new();
        for shard in shards(stage, table).await? {
            found.extend(
                read(stage, table, &shard, None).await?.into_iter().filter(|record| is_record_of(record, event_id)),
            );
        }
        Ok((found.len() >= at_least).then_some(found))
    })
    .await
}

fn event_names(records: &[Record]) -> Vec<&str> {
    records.iter().map(|record| record.event_name.as_ref().map_or("none", OperationType::as_str)).collect()
}

/// Parses the new images of the records as claims.
fn claims(records: &[Record]) -> Result<Vec<Claim>, Mismatch> {
    let claim = |record: &Record| Claim::from_item(item(stream_record(record).new_image.as_ref()));
    Ok(records.iter().map(claim).collect::<Result<_, _>>()?)
}

/// Converts a new image from the types of the Streams SDK to those of the DynamoDB SDK. A claim's attributes are only
/// strings, numbers and binary values. Any other attribute becomes null, so that the item cannot be read as a claim.
fn item(image: Option<&HashMap<String, StreamValue>>) -> Item {
    let value = |value: &StreamValue| match value {
        StreamValue::S(text) => AttributeValue::S(text.clone()),
        StreamValue::N(number) => AttributeValue::N(number.clone()),
        StreamValue::B(bytes) => AttributeValue::B(Blob::new(bytes.as_ref())),
        _ => AttributeValue::Null(true),
    };
    image.into_iter().flatten().map(|(name, attribute)| (name.clone(), value(attribute))).collect()
}

async fn delete(stage: &Stage, table: &Table, event_id: &str) -> Outcome {
    let request = stage.operator.dynamodb.delete_item().table_name(&table.name);
    let request = request.key("pk", AttributeValue::S(Claim::partition_key(event_id)));
    request.key("sk", AttributeValue::S(SORT_KEY.to_owned())).send().await?;
    Ok(())
}

async fn new_claim_is_insert_record(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("new");
    let claim = claim(&event_id, now + HOUR);
    put(&stage, table, &claim, now).await?;
    let records = records(&stage, &event_id, 1).await?;
    expect_eq("records", event_names(&records), vec!["INSERT"])?;
    expect_eq("claims in them", claims(&records)?, vec![claim])
}

/// The record of a batched insert has the same form as the record of a put, so `archive-fn` handles both in the same way.
async fn batched_insert_is_insert_record(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("batched");
    let expired = claim(&event_id, now + HOUR);
    let next = claim(&event_id, now + 2 * HOUR);
    let outcomes = partiql::outcomes(&stage, vec![partiql::insert(table, &expired)?]).await?;
    expect_eq("insert", outcomes, vec![partiql::done()])?;
    // The record of this put follows the records of all earlier writes, so the test waits for it.
    put(&stage, table, &next, now + HOUR + 1).await?;
    let records = eventually("a record of the takeover", async || {
        let records = records(&stage, &event_id, 1).await?;
        Ok((claims(&records)?.last() == Some(&next)).then_some(records))
    })
    .await?;
    expect_eq("records of a batched insert and a takeover", event_names(&records), vec!["INSERT", "MODIFY"])?;
    expect_eq("claims in them", claims(&records)?, vec![expired, next])
}

/// The stream mapping and `archive-fn` must not drop MODIFY records, or a claim that replaces an expired one is never
/// archived.
async fn takeover_is_modify_record(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("takeover");
    let expired = claim(&event_id, now + HOUR);
    let next = claim(&event_id, now + 2 * HOUR);
    put(&stage, table, &expired, now).await?;
    put(&stage, table, &next, now + HOUR + 1).await?;
    let records = records(&stage, &event_id, 2).await?;
    expect_eq("records", event_names(&records), vec!["INSERT", "MODIFY"])?;
    expect_eq("claims in them", claims(&records)?, vec![expired, next])
}

async fn unchanged_put_writes_no_record(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("nothing");
    let next = claim(&event_id, now + 2 * HOUR);
    let claim = claim(&event_id, now + HOUR);
    for _ in 0..3 {
        // At this time the claim has expired, so the condition holds.
        put(&stage, table, &claim, now + HOUR + 1).await?;
    }
    put(&stage, table, &next, now + HOUR + 1).await?;
    let records = records(&stage, &event_id, 2).await?;
    expect_eq("records of three equal puts and a different one", event_names(&records), vec!["INSERT", "MODIFY"])
}

async fn failed_condition_writes_no_record(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("refused");
    let held = claim(&event_id, now + HOUR);
    let next = claim(&event_id, now + 2 * HOUR);
    put(&stage, table, &held, now).await?;
    for _ in 0..3 {
        let refused = put(&stage, table, &next, now).await;
        ensure(refused.is_err(), || "the condition held".to_owned())?;
    }
    put(&stage, table, &next, now + HOUR + 1).await?;
    let records = records(&stage, &event_id, 2).await?;
    expect_eq("claims in the stream", claims(&records)?, vec![held, next])
}

/// A REMOVE record has no new image, so the filter of the stream mapping drops it.
async fn deletion_is_remove_without_new_image(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("deleted");
    put(&stage, table, &claim(&event_id, now + HOUR), now).await?;
    delete(&stage, table, &event_id).await?;
    let records = records(&stage, &event_id, 2).await?;
    expect_eq("records", event_names(&records), vec!["INSERT", "REMOVE"])?;
    expect_eq("new image of the last", &stream_record(&records[1]).new_image, &None)
}

/// The developer guide documents the record's user identity under "Working with expired items".
async fn ttl_deletion_is_remove_by_service(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("expired");
    put(&stage, table, &claim(&event_id, now - HOUR), now).await?;
    stage.expire();
    let records = records(&stage, &event_id, 2).await?;
    expect_eq("records of a claim and its deletion", event_names(&records), vec!["INSERT", "REMOVE"])?;
    expect_eq("new image of the last", &stream_record(&records[1]).new_image, &None)?;
    let by =
        records[1].user_identity.as_ref().and_then(|by| Some((by.r#type.as_deref()?, by.principal_id.as_deref()?)));
    expect_eq("deleted by", by, Some(("Service", "dynamodb.amazonaws.com")))
}

async fn records_of_key_are_in_write_order(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("order");
    let written: Vec<_> = (1..=20).map(|hour| claim(&event_id, now + hour * HOUR)).collect();
    for claim in &written {
        put(&stage, table, claim, claim.ttl).await?;
    }
    let records = records(&stage, &event_id, written.len()).await?;
    expect_eq("claims in the stream", claims(&records)?, written)?;
    let numbers: Vec<_> = records.iter().map(sequence_number).collect::<Result<_, _>>()?;
    ensure(numbers.is_sorted_by(|a, b| a < b), || format!("sequence numbers do not increase: {numbers:?}"))
}

fn sequence_number(record: &Record) -> Result<u128, Mismatch> {
    Ok(stream_record(record).sequence_number().unwrap_or_default().parse::<u128>()?)
}

/// The stream mapping sends this request to resume after its checkpoint.
async fn shard_resumes_after_sequence_number(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("checkpoint");
    let written: Vec<_> = (1..=4).map(|hour| claim(&event_id, now + hour * HOUR)).collect();
    for claim in &written {
        put(&stage, table, claim, claim.ttl).await?;
    }
    let all = records(&stage, &event_id, written.len()).await?;
    let checkpoint = stream_record(&all[1]).sequence_number().unwrap_or_default();
    // A record does not name its shard. The other shards reject a foreign sequence number or return nothing.
    let mut after = Vec::new();
    for shard in shards(&stage, table).await? {
        let rest = read(&stage, table, &shard, Some(checkpoint)).await.unwrap_or_default();
        after.extend(rest.into_iter().filter(|record| is_record_of(record, &event_id)));
    }
    expect_eq("claims after the second", claims(&after)?, written[2..].to_vec())
}

/// `archive-fn` identifies failed and quarantined records by sequence number. Lambda uses the record's creation time to
/// discard old records. Other tests check the event name and the new image.
async fn record_has_id_source_key_number_and_time(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let event_id = stage.unique("record");
    put(&stage, table, &claim(&event_id, now + HOUR), now).await?;
    let records = records(&stage, &event_id, 1).await?;
    let record = &records[0];
    sequence_number(record)?;
    ensure(record.event_id().is_some_and(|id| !id.is_empty()), || "the record has no event id".to_owned())?;
    expect_eq("event source", record.event_source(), Some("aws:dynamodb"))?;
    expect_eq("keys", stream_record(record).keys().map(std::collections::HashMap::len), Some(2))?;
    expect_eq("view", stream_record(record).stream_view_type().map(|view| view.as_str()), Some("NEW_IMAGE"))?;
    expect_eq("old image", &stream_record(record).old_image, &None)?;
    let created = stream_record(record).approximate_creation_date_time().map(|at| at.secs().unsigned_abs());
    // A local engine uses the clock of this machine. The clock of AWS is assumed to be at most two minutes off.
    ensure(created.is_some_and(|at| at.abs_diff(now) < 120), || format!("created at {created:?}, written at {now}"))
}

/// The claim in this test contains text, a number, and bytes that are not valid UTF-8.
async fn new_image_equals_claim(stage: Arc<Stage>) -> Outcome {
    let table = stage.streamed().await?;
    let now = now_seconds();
    let odd = format!("{}-ä\u{1F41F}\"\\\u{7f}/ ", stage.unique("image"));
    let claim = Claim { body: claim::Body::Zstd((0..=255).collect()), ..claim(&odd, now + HOUR) };
    put(&stage, table, &claim, now).await?;
    expect_eq("claims in the stream", claims(&records(&stage, &odd, 1).await?)?, vec![claim])
}
