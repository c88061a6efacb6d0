//! Scans the table in parallel segments. Adds the claims of a page to the worklist before it records the position after
//! that page, so that a killed run misses no claim.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use claim::key::is_claim_sort_key;
use claim::{Claim, ObjectPrefix, PACK_LAYOUT};
use futures_util::future::try_join_all;
use lambda_support::error_chain;
use tokio::sync::mpsc;

use super::checkpoint::Position;
use super::claim_table::{ClaimTable, Item, ItemKey};
use super::outcome::ReplayError;
use super::pace::{Progress, RateLimiter};
use super::settings::ReplaySettings;
use super::worklist::{ClaimRef, Worklist};

/// Maximum number of pages that are read but not yet added to the worklist.
const PAGES_WAITING: usize = 8;

/// A scanned item: a claim to compare, an unusable item, or an item to skip.
enum ScannedItem {
    Claim {
        partition: String,
        claim: ClaimRef,
    },
    Unusable {
        item: ItemKey,
        reason: String,
    },
    /// The line of the claim is in a pack.
    Packed(ItemKey),
    /// The item is not a claim, or its claim is outside the replay's time range.
    Other,
}

/// One page of a segment, and the position of the next page.
struct Page {
    segment: usize,
    items: Vec<Item>,
    next: Position,
}

/// Scans the part of the table that the worklist does not cover yet, and adds its claims to the worklist.
pub(super) async fn scan(
    table: &ClaimTable,
    settings: &ReplaySettings,
    worklist: &mut Worklist,
    note: &dyn Fn(&str),
) -> Result<(), ReplayError> {
    let positions = worklist.positions().to_vec();
    let segments = positions.len();
    let limiter = RateLimiter::new(settings.scan_rate);
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
                match classify(item, settings, until) {
                    ScannedItem::Claim { partition, claim } => {
                        claims += 1;
                        worklist.add(&partition, &claim);
                    }
                    ScannedItem::Unusable { item, reason } => worklist.add_unusable(&item, &reason),
                    ScannedItem::Packed(item) => {
                        return Err(ReplayError::Packed { table: table.name.clone(), claim: item.to_string() });
                    }
                    ScannedItem::Other => {}
                }
            }
            worklist.advance(segment, next)?;
            progress.report(|| {
                format!("scanned {claims} claims so far; {} of {segments} segments are done", worklist.segments_done())
            });
        }
        worklist.save().map_err(ReplayError::from)
    };
    // If a segment fails, the worklist still keeps every page that was read before.
    let (read, noted) = tokio::join!(try_join_all(reading), noting);
    noted.and(read.map(drop))
}

async fn read_segment(
    table: &ClaimTable,
    limiter: &RateLimiter,
    segment: usize,
    segments: usize,
    mut position: Position,
    pages: mpsc::Sender<Page>,
) -> Result<(), ReplayError> {
    loop {
        let after = match position {
            Position::Done => return Ok(()),
            Position::Start => None,
            Position::After(pk, sk) => Some((pk, sk)),
        };
        limiter.wait().await;
        let answer = table
            .scan_page(segment, segments, after)
            .await
            .map_err(|error| ReplayError::Table { table: table.name.clone(), source: Box::new(error) })?;
        position = match answer.last_evaluated_key {
            None => Position::Done,
            Some(last) => match (last.get("pk"), last.get("sk")) {
                (Some(AttributeValue::S(pk)), Some(AttributeValue::S(sk))) => Position::After(pk.clone(), sk.clone()),
                _ => {
                    let source = "its key attributes are not the strings `pk` and `sk`".into();
                    return Err(ReplayError::Table { table: table.name.clone(), source });
                }
            },
        };
        let page = Page { segment, items: answer.items.unwrap_or_default(), next: position.clone() };
        // The receiver is dropped only if the worklist cannot be written. `scan` then returns that error.
        if pages.send(page).await.is_err() {
            return Ok(());
        }
    }
}

/// Decodes a scanned item, and finds the partition of its object with the code that `archive-fn` uses. The scan does not
/// return bodies, so this function decodes the item with an empty body. The object's key does not depend on the body.
fn classify(mut item: Item, settings: &ReplaySettings, until: DateTime<Utc>) -> ScannedItem {
    let text = |name| match item.get(name) {
        Some(AttributeValue::S(text)) => text.as_str().into(),
        _ => Box::default(),
    };
    let key = ItemKey { pk: text("pk"), sk: text("sk") };
    if !is_claim_sort_key(&key.sk) {
        return ScannedItem::Other;
    }
    if matches!(item.get("layout"), Some(AttributeValue::S(layout)) if layout == PACK_LAYOUT) {
        return ScannedItem::Packed(key);
    }
    item.insert("body".to_owned(), AttributeValue::S(String::new()));
    let claim = match Claim::from_item(item) {
        Ok(claim) => claim,
        Err(error) => return ScannedItem::Unusable { item: key, reason: error_chain(&error) },
    };
    let time = claim.id_time();
    if time >= until || settings.since.is_some_and(|since| time < since) {
        return ScannedItem::Other;
    }
    let partition = partition_of(&settings.object_prefix, &claim);
    let claim = ClaimRef { claim_id: claim.claim_id, item: key };
    ScannedItem::Claim { partition, claim }
}

/// Returns the partition of the claim's object, such as `dt=2026-11-23/hour=09`.
fn partition_of(prefix: &ObjectPrefix, claim: &Claim) -> String {
    let key = prefix.object_key(claim);
    let under_prefix = &key[prefix.to_string().len()..];
    under_prefix.rsplit_once('/').expect("a key under the prefix has a partition").0.to_owned()
}
