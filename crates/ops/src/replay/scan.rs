//! The table, in parallel segments. Each page goes to the worklist before the position behind it does.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use claim::key::SORT_KEY;
use claim::{Claim, ObjectPrefix};
use futures_util::future::try_join_all;
use lambda_support::error_chain;
use tokio::sync::mpsc;

use super::rewrite::{Item, Table};
use super::worklist::{Position, Worklist};
use super::{Claimed, Limiter, Progress, ReplayError, Settings};

/// All of a claim but the body. DynamoDB charges the whole item all the same; this spares the way here.
const WITHOUT_BODY: &str = "pk, sk, claim_id, claimed_at, #ttl, digest, message_id";

/// Pages that wait for the disk at the most.
const PAGES_WAITING: usize = 8;

/// An item of the table that says it is a claim.
pub(super) enum Scanned {
    Claim { partition: String, claimed: Claimed },
    Unusable { partition_key: String, reason: String },
    OutOfRange,
}

/// A page of a segment, and where the next begins.
struct Page {
    segment: usize,
    items: Vec<Item>,
    next: Position,
}

/// Scans what is left of the table into the worklist.
pub(super) async fn scan(
    table: &Table,
    settings: &Settings,
    worklist: &mut Worklist,
    note: &dyn Fn(&str),
) -> Result<(), ReplayError> {
    let positions = worklist.positions().to_vec();
    let segments = positions.len();
    let limiter = Limiter::new(settings.scan_rate);
    let (sender, mut pages) = mpsc::channel(PAGES_WAITING);
    let reading = positions.into_iter().enumerate();
    let reading: Vec<_> = reading
        .map(|(segment, position)| read_segment(table, &limiter, segment, segments, position, sender.clone()))
        .collect();
    drop(sender);
    let until = worklist.until();
    let progress = Progress::new(note);
    let mut claims = 0_u64;
    let noting = async {
        while let Some(Page { segment, items, next }) = pages.recv().await {
            for item in items {
                match read(item, settings, until) {
                    Scanned::Claim { partition, claimed } => {
                        claims += 1;
                        worklist.add(&partition, &claimed);
                    }
                    Scanned::Unusable { partition_key, reason } => worklist.add_unusable(&partition_key, &reason),
                    Scanned::OutOfRange => {}
                }
            }
            worklist.advance(segment, next)?;
            progress
                .say(|| format!("scanned {claims} claims, {} of {segments} segments done", worklist.segments_done()));
        }
        worklist.save().map_err(ReplayError::from)
    };
    // What was read before a segment failed is worth keeping.
    let (read, noted) = tokio::join!(try_join_all(reading), noting);
    noted.and(read.map(drop))
}

async fn read_segment(
    table: &Table,
    limiter: &Limiter,
    segment: usize,
    segments: usize,
    mut position: Position,
    pages: mpsc::Sender<Page>,
) -> Result<(), ReplayError> {
    let as_number = |number: usize| i32::try_from(number).expect("there are at most 1,000 segments");
    loop {
        let start = match position {
            Position::Done => return Ok(()),
            Position::Start => None,
            Position::After(pk, sk) => Some(key(pk, sk)),
        };
        limiter.wait().await;
        let request = table
            .client
            .scan()
            .table_name(&table.name)
            .segment(as_number(segment))
            .total_segments(as_number(segments))
            .consistent_read(true)
            .filter_expression("sk = :claim")
            .expression_attribute_values(":claim", AttributeValue::S(SORT_KEY.to_owned()))
            .projection_expression(WITHOUT_BODY)
            .expression_attribute_names("#ttl", "ttl")
            .set_exclusive_start_key(start);
        let answer = Box::pin(request.send())
            .await
            .map_err(|error| ReplayError::Table { table: table.name.clone(), source: Box::new(error) })?;
        position = match answer.last_evaluated_key {
            None => Position::Done,
            Some(last) => match (last.get("pk"), last.get("sk")) {
                (Some(AttributeValue::S(pk)), Some(AttributeValue::S(sk))) => Position::After(pk.clone(), sk.clone()),
                _ => {
                    let source = "its keys are not the texts `pk` and `sk`".into();
                    return Err(ReplayError::Table { table: table.name.clone(), source });
                }
            },
        };
        let page = Page { segment, items: answer.items.unwrap_or_default(), next: position.clone() };
        // The receiver is gone only when the checkpoint cannot be written, which is then the error.
        if pages.send(page).await.is_err() {
            return Ok(());
        }
    }
}

pub(super) fn key(pk: String, sk: String) -> HashMap<String, AttributeValue> {
    HashMap::from([("pk".to_owned(), AttributeValue::S(pk)), ("sk".to_owned(), AttributeValue::S(sk))])
}

/// Where the claim's object is, by the very code that archives it. The body has stayed in the table: an empty one stands in for
/// it, on which the key does not depend.
fn read(mut item: Item, settings: &Settings, until: chrono::DateTime<chrono::Utc>) -> Scanned {
    let partition_key = match item.get("pk") {
        Some(AttributeValue::S(pk)) => pk.clone(),
        _ => String::new(),
    };
    item.insert("body".to_owned(), AttributeValue::S(String::new()));
    let claim = match Claim::from_item(item) {
        Ok(claim) => claim,
        Err(error) => return Scanned::Unusable { partition_key, reason: error_chain(&error) },
    };
    if claim.claimed_at >= until || settings.since.is_some_and(|since| claim.claimed_at < since) {
        return Scanned::OutOfRange;
    }
    let partition = partition(&settings.object_prefix, &claim);
    Scanned::Claim { partition, claimed: Claimed { claim_id: claim.claim_id, event_id: claim.event_id.into() } }
}

/// `dt=2026-11-23/hour=09`.
fn partition(prefix: &ObjectPrefix, claim: &Claim) -> String {
    let key = prefix.object_key(claim);
    let under_prefix = &key[prefix.to_string().len()..];
    under_prefix.rsplit_once('/').expect("a key under the prefix has a partition").0.to_owned()
}
