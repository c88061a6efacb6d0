//! Scans the table in parallel segments. Adds the claims and packs of a page to the worklist before it records the
//! position after that page, so that a killed run misses no claim.

use std::time::SystemTime;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_async::time::SharedTimeSource;
use chrono::{DateTime, Utc};
use claim::key::is_claim_sort_key;
use claim::record::id_time;
use claim::{Claim, Layout, ObjectPrefix, PACK_LAYOUT, Pack, PackRef, pack};
use futures_util::future::try_join_all;
use lambda_support::error_chain;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::checkpoint::Position;
use super::claim_table::{ClaimTable, Item, ItemKey};
use super::outcome::ReplayError;
use super::pace::{Progress, RateLimiter};
use super::settings::ReplaySettings;
use super::settle::is_open;
use super::worklist::{ClaimRef, Entry, PackItem, PackedRef, Worklist};

/// Maximum number of pages that are read but not yet added to the worklist.
const PAGES_WAITING: usize = 8;

/// A scanned item: a claim or a pack to compare, an unusable item, or an item to skip.
enum ScannedItem {
    Entry {
        partition: String,
        entry: Entry,
    },
    Unusable {
        item: ItemKey,
        reason: String,
    },
    /// The item is neither a claim nor a pack, or is outside the replay's time range.
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
    clock: &SharedTimeSource,
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
    let range = TimeRange { since: settings.since, until: worklist.until() };
    let progress = Progress::new(note);
    let mut claims = 0_u64;
    let noting = async {
        while let Some(Page { segment, items, next }) = pages.recv().await {
            for item in items {
                match classify(item, range, clock.now()) {
                    ScannedItem::Entry { partition, entry } => {
                        claims += u64::from(!matches!(entry, Entry::Pack(_)));
                        worklist.add(&partition, &entry);
                    }
                    ScannedItem::Unusable { item, reason } => worklist.add_unusable(&item, &reason),
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

/// The time range of the claims that a replay handles.
#[derive(Clone, Copy)]
struct TimeRange {
    since: Option<DateTime<Utc>>,
    until: DateTime<Utc>,
}

impl TimeRange {
    fn contains(self, claim_id: Uuid) -> bool {
        let time = id_time(claim_id);
        time < self.until && self.since.is_none_or(|since| time >= since)
    }
}

/// Decodes a scanned item, and finds its partition. The scan does not return bodies and lines, so this function decodes the
/// item with an empty one. The key of the object does not depend on it.
fn classify(mut item: Item, range: TimeRange, now: SystemTime) -> ScannedItem {
    let text = |name| match item.get(name) {
        Some(AttributeValue::S(text)) => text.as_str(),
        _ => "",
    };
    let key = ItemKey { pk: text("pk").into(), sk: text("sk").into() };
    let decoded = if &*key.sk == pack::SORT_KEY {
        item.insert("lines_zstd".to_owned(), AttributeValue::B(Blob::new([])));
        Pack::from_item(item).map(|pack| pack_entry(&pack, range)).map_err(|error| error_chain(&error))
    } else if is_claim_sort_key(&key.sk) {
        let body = if text("layout") == PACK_LAYOUT { "packed_body" } else { "body" };
        item.insert(body.to_owned(), AttributeValue::S(String::new()));
        let claim = Claim::from_item(item).map_err(|error| error_chain(&error));
        claim.map(|claim| claim_entry(&claim, key.clone(), range, now))
    } else {
        Ok(None)
    };
    match decoded {
        Ok(Some((id, entry))) => ScannedItem::Entry { partition: ObjectPrefix::partition(id).to_string(), entry },
        Ok(None) => ScannedItem::Other,
        Err(reason) => ScannedItem::Unusable { item: key, reason },
    }
}

/// Returns the entry of a pack, and the id that its partition depends on. Skips the pack unless one of its claims is in the
/// time range.
fn pack_entry(pack: &Pack, range: TimeRange) -> Option<(Uuid, Entry)> {
    let claim_ids: Vec<Uuid> = pack.claim_ids.iter().collect();
    let is_in_range = claim_ids.iter().any(|claim_id| range.contains(*claim_id));
    is_in_range.then_some((pack.pack_id, Entry::Pack(PackItem { pack_id: pack.pack_id, claim_ids })))
}

/// Returns the entry of a claim, and the id that its partition depends on. Skips a packed claim whose pack may still be
/// closed by the invocation that made the claim.
fn claim_entry(claim: &Claim, item: ItemKey, range: TimeRange, now: SystemTime) -> Option<(Uuid, Entry)> {
    let claim_id = claim.claim_id;
    if !range.contains(claim_id) {
        return None;
    }
    match claim.layout {
        Layout::Object => Some((claim_id, Entry::Claim(ClaimRef { claim_id, item }))),
        Layout::Pack(pack) if is_open(pack, now) => None,
        Layout::Pack(PackRef { pack_id, .. }) => {
            Some((pack_id, Entry::Packed(PackedRef { pack_id, claim_id, ttl: claim.ttl, item })))
        }
    }
}
