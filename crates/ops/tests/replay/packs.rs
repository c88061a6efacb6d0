//! Tests of replays of tables with packs.

use std::io::Read as _;
use std::time::SystemTime;

use claim::pack::{PACK_EXTRA_SECONDS, SETTLE_EXTRA_SECONDS};
use claim::{Claim, Layout, Pack, PackBuilder, PackRef, object};
use uuid::Uuid;

use super::claims::{HOUR_STARTS_MS, claim_at, delete_claim, put_in_lake, put_in_table};
use super::*;

const HOUR: &str = "dt=2023-11-14/hour=23";

/// Seconds between [`HOUR_STARTS_MS`] and the time at which the tests run a replay: ten minutes.
const LATER: u64 = 600;

/// Returns services whose clock is shortly after [`HOUR_STARTS_MS`], so that the claims of this hour have not expired.
fn services_later() -> Arc<Services> {
    services_with_clock_at(HOUR_STARTS_MS / 1_000 + LATER)
}

fn services_with_clock_at(seconds: u64) -> Arc<Services> {
    let services = services_at(seconds);
    services.lakes.create_bucket(names::BUCKET);
    let _stream = services.tables.create_claim_table(names::TABLE);
    services
}

fn pack_id(number: u32) -> Uuid {
    pack_id_at(HOUR_STARTS_MS, number)
}

fn pack_id_at(at_ms: u64, number: u32) -> Uuid {
    let mut random = [7; 10];
    random[6..].copy_from_slice(&number.to_be_bytes());
    Claim::id_at(SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms), &random)
}

/// Returns the claim `number` of this pack, which no invocation can close any more.
fn packed(pack: Uuid, number: u32) -> Claim {
    packed_at(HOUR_STARTS_MS, pack, number)
}

fn packed_at(at_ms: u64, pack_id: Uuid, number: u32) -> Claim {
    Claim { layout: Layout::Pack(PackRef { pack_id, close_by_ms: at_ms + 30_000 }), ..claim_at(at_ms, number) }
}

fn pack_of(pack_id: Uuid, claims: &[&Claim]) -> Pack {
    let mut builder = PackBuilder::new();
    for claim in claims {
        builder.push(claim).unwrap();
    }
    builder.finish(pack_id).unwrap()
}

async fn put_item(services: &Arc<Services>, item: serde_dynamo::Item) {
    let dynamodb = aws_sdk_dynamodb::Client::new(&services.sdk_config());
    dynamodb.put_item().table_name(names::TABLE).set_item(Some(item.into())).send().await.unwrap();
}

async fn put_pack(services: &Arc<Services>, pack_id: Uuid, claims: &[&Claim]) {
    put_item(services, pack_of(pack_id, claims).into_item()).await;
}

/// Writes the object of a pack as `archive-fn` does.
async fn archive_pack(services: &Arc<Services>, pack_id: Uuid, claims: &[&Claim]) {
    let lake = archive_fn::DataLake::new((&services.sdk_config()).into(), names::BUCKET);
    let archive_fn::PackObject { gzip, lines } = archive_fn::PackObject::build(&pack_of(pack_id, claims)).unwrap();
    lake.put_pack(&pack_key(pack_id), gzip, lines.len()).await.unwrap();
}

fn pack_key(pack_id: Uuid) -> String {
    ObjectPrefix::parse("events/").unwrap().pack_key(pack_id)
}

/// Returns the packs in the table by id.
async fn packs(services: &Arc<Services>) -> BTreeMap<Uuid, Pack> {
    let client = aws_sdk_dynamodb::Client::new(&services.sdk_config());
    let mut items = client.scan().table_name(names::TABLE).into_paginator().items().send();
    let mut packs = BTreeMap::new();
    while let Some(item) = items.next().await {
        packs.extend(Pack::from_item(item.unwrap()).ok().map(|pack| (pack.pack_id, pack)));
    }
    packs
}

fn listed(pack: &Pack) -> Vec<Uuid> {
    pack.claim_ids.iter().collect()
}

/// Returns the text of each object by key. Asserts that each object has one version.
fn texts(services: &Services) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for (key, versions) in services.lakes.versions(names::BUCKET) {
        let [content] = &versions[..] else { panic!("{key} has {} versions", versions.len()) };
        let mut text = String::new();
        if key.ends_with(".gz") {
            flate2::read::GzDecoder::new(&content[..]).read_to_string(&mut text).unwrap();
        } else {
            text = String::from_utf8(content.to_vec()).unwrap();
        }
        texts.insert(key, text);
    }
    texts
}

fn line(claim: &Claim) -> String {
    String::from_utf8(object::object_line(claim).unwrap()).unwrap()
}

fn lake_of<const N: usize>(objects: [(String, &[&Claim]); N]) -> BTreeMap<String, String> {
    objects.map(|(key, claims)| (key, claims.iter().map(|claim| line(claim)).collect())).into()
}

fn sums(outcome: &ReplayOutcome) -> [u64; 3] {
    [&outcome.missing, &outcome.missing_packs, &outcome.unsettled].map(|numbers| numbers.values().sum())
}

fn settings_of(services: &Services, folder: &Path) -> ReplaySettings {
    ReplaySettings { new_lake: true, ..settings(services, &folder.join("checkpoint")) }
}

/// Runs a dry run, which must not change anything, and then a run that writes. Returns both outcomes. A third run must have
/// nothing to do.
async fn dry_run_and_write(services: &Arc<Services>) -> [ReplayOutcome; 2] {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(services, folder.path());
    let before = (packs(services).await, texts(services));
    let dry = run(services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    assert_eq!((packs(services).await, texts(services)), before, "a dry run writes nothing");
    let written = run(services, &settings).await.unwrap();
    assert_eq!(written.failed, []);
    if written.gone.is_empty() && written.unusable.is_empty() {
        assert!(!settings.checkpoint.exists(), "nothing is left to do: {written:?}");
        let again = run(services, &settings).await.unwrap();
        assert_eq!((sums(&again), again.written, again.settled), ([0; 3], 0, 0));
    }
    [dry, written]
}

/// A replay closes a missing pack with all claims that name it, and writes its object. An object whose key only begins with
/// the pack's key does not count.
#[tokio::test(start_paused = true)]
async fn missing_pack_is_closed() {
    let services = services_later();
    let claims = [1, 2].map(|number| packed(pack_id(1), number));
    put_in_table(&services, claims.clone()).await;
    let copy = format!("{}.copy", pack_key(pack_id(1)));
    let lake = archive_fn::DataLake::new((&services.sdk_config()).into(), names::BUCKET);
    lake.put(&copy, Vec::new(), None).await.unwrap();
    let [dry, written] = dry_run_and_write(&services).await;
    assert_eq!((dry.compared, dry.packed, dry.packs, dry.settled), (2, 2, 0, 0));
    assert_eq!(dry.unsettled, BTreeMap::from([(HOUR.to_owned(), 2)]));
    assert_eq!((sums(&written), written.settled, written.written), ([0, 1, 2], 2, 1));
    let packs = packs(&services).await;
    let ids: Vec<Uuid> = claims.iter().map(|claim| claim.claim_id).collect();
    assert_eq!(packs.keys().collect::<Vec<_>>(), [&pack_id(1)]);
    assert_eq!((listed(&packs[&pack_id(1)]), packs[&pack_id(1)].ttl), (ids, claims[0].ttl + PACK_EXTRA_SECONDS));
    assert_eq!(texts(&services), lake_of([(pack_key(pack_id(1)), &[&claims[0], &claims[1]]), (copy, &[])]));
}

/// A replay writes the missing object of a pack, also if a claim of the pack has been deleted. The object is the one that
/// `archive-fn` would have written.
#[tokio::test(start_paused = true)]
async fn pack_without_object_is_written() {
    let services = services_later();
    let [one, two] = [1, 2].map(|number| packed(pack_id(1), number));
    put_in_table(&services, [two.clone()]).await;
    put_pack(&services, pack_id(1), &[&one, &two]).await;
    let [dry, written] = dry_run_and_write(&services).await;
    assert_eq!((dry.compared, dry.packs, sums(&dry)), (1, 1, [0, 1, 0]));
    assert_eq!(dry.missing_packs, BTreeMap::from([(HOUR.to_owned(), 1)]));
    assert_eq!((written.written, written.settled, written.packs), (1, 0, 1));
    let expected = services_later();
    archive_pack(&expected, pack_id(1), &[&one, &two]).await;
    assert_eq!(services.lakes.versions(names::BUCKET), expected.lakes.versions(names::BUCKET));
    let metadata = services.lakes.metadata(names::BUCKET, &pack_key(pack_id(1))).unwrap();
    assert_eq!(metadata, [("count".to_owned(), "2".to_owned())].into());
}

/// A claim that its pack does not list gets a pack of its own. If it has one, the replay only writes a missing object. The
/// two packs can be in different partitions.
#[tokio::test(start_paused = true)]
async fn unlisted_claim_has_its_own_pack() {
    const NEXT_HOUR_MS: u64 = HOUR_STARTS_MS + 3_600_000;
    let services = services_with_clock_at(NEXT_HOUR_MS / 1_000 + LATER);
    let id = pack_id_at(NEXT_HOUR_MS - 1, 1);
    let [listed_claim, own, none] = [1, 2, 3].map(|number| packed_at(NEXT_HOUR_MS, id, number));
    put_in_table(&services, [listed_claim.clone(), own.clone(), none.clone()]).await;
    put_pack(&services, id, &[&listed_claim]).await;
    put_pack(&services, own.claim_id, &[&own]).await;
    archive_pack(&services, id, &[&listed_claim]).await;
    let [dry, written] = dry_run_and_write(&services).await;
    assert_eq!(dry.unsettled, BTreeMap::from([(HOUR.to_owned(), 1)]));
    assert_eq!((dry.packs, written.settled, written.written + written.already_there), (2, 1, 3));
    assert_eq!(packs(&services).await.len(), 3);
    let own_pack = |claim: &Claim| pack_key(claim.claim_id);
    assert_eq!(
        texts(&services),
        lake_of([(pack_key(id), &[&listed_claim]), (own_pack(&own), &[&own]), (own_pack(&none), &[&none])])
    );
}

/// If somebody deleted a pack, a claim that has a pack of its own is not put into the closed pack too.
#[tokio::test(start_paused = true)]
async fn claim_with_its_own_pack_is_settled_without_its_pack() {
    const NEXT_HOUR_MS: u64 = HOUR_STARTS_MS + 3_600_000;
    let services = services_with_clock_at(NEXT_HOUR_MS / 1_000 + LATER);
    let id = pack_id_at(NEXT_HOUR_MS - 1, 1);
    let [own, none] = [1, 2].map(|number| packed_at(NEXT_HOUR_MS, id, number));
    put_in_table(&services, [own.clone(), none.clone()]).await;
    put_pack(&services, own.claim_id, &[&own]).await;
    let [_, written] = dry_run_and_write(&services).await;
    assert_eq!(written.settled, 1);
    assert_eq!(texts(&services), lake_of([(pack_key(id), &[&none]), (pack_key(own.claim_id), &[&own])]));
}

/// A replay leaves a claim alone until its `close_by` has passed. Otherwise, the invocation that made the claim could not
/// close the pack with its other claims.
#[tokio::test(start_paused = true)]
async fn pack_of_a_running_invocation_is_not_closed() {
    let services = services_later();
    let close_by_ms = services.clock.now_ms() + 1_000;
    let layout = Layout::Pack(PackRef { pack_id: pack_id(1), close_by_ms });
    put_in_table(&services, [Claim { layout, ..packed(pack_id(1), 1) }]).await;
    let [_, written] = dry_run_and_write(&services).await;
    assert_eq!((written.compared, written.settled), (0, 0));
    sleep(Duration::from_millis(1_001)).await;
    let [_, written] = dry_run_and_write(&services).await;
    assert_eq!((written.compared, written.settled), (1, 1));
}

/// A claim is settled until half a day after it has expired, but not later: then TTL may have deleted its pack. The replay
/// counts such a claim and leaves it alone, whatever the lake has. It writes the missing object of an old pack.
#[tokio::test(start_paused = true)]
async fn old_claim_is_left_alone() {
    for (late, settled) in [(0, true), (1, false)] {
        let [one, two] = [packed(pack_id(1), 1), packed(pack_id(1), 2)];
        let services = services_with_clock_at(one.ttl + SETTLE_EXTRA_SECONDS + late);
        let unlisted = packed(pack_id(2), 3);
        let in_lake_only = packed(pack_id(3), 4);
        put_in_table(&services, [one.clone(), two.clone(), unlisted.clone(), in_lake_only.clone()]).await;
        put_pack(&services, pack_id(2), &[&packed(pack_id(2), 9)]).await;
        archive_pack(&services, pack_id(3), &[&in_lake_only]).await;
        let [dry, written] = dry_run_and_write(&services).await;
        let (unsettled, too_old) = if settled { (4, 0) } else { (0, 4) };
        assert_eq!((sums(&dry), dry.too_old), ([0, 1, unsettled], too_old), "{late}");
        assert_eq!((written.settled, written.rebuilt), (unsettled, u64::from(settled)), "{late}");
        let mut expected = lake_of([(pack_key(pack_id(2)), &[&packed(pack_id(2), 9)])]);
        expected.extend(lake_of([(pack_key(pack_id(3)), &[&in_lake_only])]));
        if settled {
            expected
                .extend(lake_of([(pack_key(pack_id(1)), &[&one, &two]), (pack_key(unlisted.claim_id), &[&unlisted])]));
        }
        assert_eq!(texts(&services), expected, "{late}");
    }
}

/// Objects and packs can be in one partition. An object and a pack of the same id are different objects.
#[tokio::test(start_paused = true)]
async fn partition_has_objects_and_packs() {
    let services = services_later();
    let objects: Vec<Claim> = (0..8).map(|number| claim_at(HOUR_STARTS_MS, number)).collect();
    let same_id = objects[2].claim_id;
    let other_id = objects[5].claim_id;
    let in_packs = [same_id, other_id, pack_id(1), pack_id(2)].into_iter().zip(20..);
    let in_packs: Vec<(Uuid, Claim)> = in_packs.map(|(pack, number)| (pack, packed(pack, number))).collect();
    put_in_table(&services, objects.iter().cloned().chain(in_packs.iter().map(|(_, claim)| claim.clone()))).await;
    for (pack, claim) in &in_packs {
        put_pack(&services, *pack, &[claim]).await;
    }
    // Exactly one of the object and the pack of each shared id is missing.
    put_in_lake(&services, [0, 1, 2, 7].map(|number| objects[number].clone())).await;
    archive_pack(&services, other_id, &[&in_packs[1].1]).await;
    archive_pack(&services, pack_id(2), &[&in_packs[3].1]).await;
    let [dry, written] = dry_run_and_write(&services).await;
    assert_eq!((dry.compared, dry.packed, dry.packs, sums(&dry)), (12, 4, 4, [4, 2, 0]));
    assert_eq!((written.written, written.already_there), (6, 0));
    assert_eq!(texts(&services).len(), 12);
}

/// `since` and `until` apply to the time of the claims. A pack is compared if one of its claims is in the time range.
#[tokio::test(start_paused = true)]
async fn time_range_applies_to_claims_of_packs() {
    let services = services_later();
    let id = pack_id_at(HOUR_STARTS_MS - 5, 1);
    let claims =
        [HOUR_STARTS_MS - 1, HOUR_STARTS_MS].into_iter().zip(1..).map(|(at, number)| packed_at(at, id, number));
    let claims: Vec<Claim> = claims.collect();
    put_in_table(&services, claims.clone()).await;
    let unclosed = packed_at(HOUR_STARTS_MS, pack_id(2), 3);
    put_in_table(&services, [unclosed]).await;
    put_pack(&services, id, &[&claims[0], &claims[1]]).await;
    let time = |at_ms: u64| Some(chrono::DateTime::from_timestamp_millis(i64::try_from(at_ms).unwrap()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    for (since, until, expected) in [
        (None, HOUR_STARTS_MS - 1, (0, 0, 0)),
        (None, HOUR_STARTS_MS, (1, 1, 0)),
        (None, HOUR_STARTS_MS + 1, (3, 1, 1)),
        (time(HOUR_STARTS_MS), HOUR_STARTS_MS + 1, (2, 1, 1)),
        (time(HOUR_STARTS_MS + 1), HOUR_STARTS_MS + 9, (0, 0, 0)),
    ] {
        let checkpoint = folder.path().join(format!("{since:?} {until}"));
        let range = ReplaySettings {
            write: false,
            since,
            until: time(until),
            checkpoint,
            ..settings_of(&services, folder.path())
        };
        let outcome = run(&services, &range).await.unwrap();
        assert_eq!((outcome.compared, outcome.packs, sums(&outcome)[2]), expected, "{since:?} {until}");
    }
}

/// After a restore of the table to a time before a pack was closed, the replay puts the pack into the table as the lake has
/// it. Claims that the pack does not list get packs of their own, and no line gets a second copy.
#[tokio::test(start_paused = true)]
async fn pack_is_rebuilt_from_its_object() {
    let services = services_later();
    let [one, two, unlisted, own] = [1, 2, 3, 4].map(|number| packed(pack_id(1), number));
    put_in_table(&services, [one.clone(), unlisted.clone(), own.clone()]).await;
    archive_pack(&services, pack_id(1), &[&one, &two]).await;
    archive_pack(&services, own.claim_id, &[&own]).await;
    let [dry, written] = dry_run_and_write(&services).await;
    assert_eq!((sums(&dry), dry.rebuilt), ([0, 0, 3], 0));
    assert_eq!((written.rebuilt, written.settled, written.written), (1, 3, 1));
    let packs = packs(&services).await;
    assert_eq!(packs[&pack_id(1)], pack_of(pack_id(1), &[&one, &two]));
    assert_eq!(packs.len(), 3);
    assert_eq!(
        texts(&services),
        lake_of([
            (pack_key(pack_id(1)), &[&one, &two]),
            (pack_key(unlisted.claim_id), &[&unlisted]),
            (pack_key(own.claim_id), &[&own]),
        ])
    );
}

/// If the object of a missing pack cannot be read, or is not the object of a pack, the replay does not close the pack. It
/// reports the claims as failed, and the next run tries again.
#[tokio::test(start_paused = true)]
async fn unreadable_object_is_not_replaced() {
    let services = services_later();
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(&services, folder.path());
    let claim = packed(pack_id(1), 1);
    put_in_table(&services, [claim.clone()]).await;
    services.faults.set(|call| {
        let is_read = call.operation.starts_with("GET") && call.operation.ends_with(".gz");
        is_read.then_some(Fault::Refused(403))
    });
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let lake = archive_fn::DataLake::new((&services.sdk_config()).into(), names::BUCKET);
    for (object, reason) in [
        (None, "failed to read s3://"),
        (Some(b"no gzip".to_vec()), "does not decompress"),
        (Some(gzip("")), "has no lines"),
        (Some(gzip("{}\n")), "is not a pack: line 1 is not the line of a claim"),
        (Some(gzip(line(&claim).trim_end())), "is not a pack: the pack has 1 claims, but 0 complete lines"),
    ] {
        if let Some(object) = object {
            services.faults.clear();
            lake.put_pack(&pack_key(pack_id(1)), object, 1).await.unwrap();
        }
        let outcome = run(&services, &settings).await.unwrap();
        let [(key, error)] = &outcome.failed[..] else { panic!("{outcome:?}") };
        assert!(key == "EVENT#e1" && error.contains(reason), "{error}");
        assert!(packs(&services).await.is_empty());
        let client = aws_sdk_s3::Client::new(&services.sdk_config());
        client.delete_object().bucket(names::BUCKET).key(pack_key(pack_id(1))).send().await.unwrap();
    }
    services.faults.clear();
    let outcome = run(&services, &settings).await.unwrap();
    assert_eq!((outcome.settled, outcome.written, outcome.failed.len()), (1, 1, 0));
}

/// A claim or a pack that cannot be read is copied to the quarantine, and does not stop the others. A claim whose pack
/// cannot be read fails.
#[tokio::test(start_paused = true)]
async fn unusable_packed_items_are_quarantined() {
    let services = services_later();
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(&services, folder.path());
    let edited = |claim: &Claim, name: &str| {
        let mut item = claim.to_item().into_inner();
        item.insert(name.to_owned(), serde_dynamo::AttributeValue::S("not this".to_owned()));
        serde_dynamo::Item::from(item)
    };
    put_item(&services, edited(&packed(pack_id(1), 1), "pack_id")).await;
    put_item(&services, edited(&packed(pack_id(1), 2), "packed_body")).await;
    put_in_table(&services, [packed(pack_id(1), 3), packed(pack_id(2), 4), packed(pack_id(3), 5)]).await;
    let mut broken = pack_of(pack_id(2), &[&packed(pack_id(2), 4)]).into_item().into_inner();
    broken.insert("claim_ids".to_owned(), serde_dynamo::AttributeValue::B(vec![1]));
    put_item(&services, serde_dynamo::Item::from(broken)).await;
    let broken = pack_of(pack_id(3), &[&packed(pack_id(3), 5)]);
    put_item(&services, Pack { lines_zstd: vec![1], ..broken }.into_item()).await;

    let keys = |items: &[(String, String)]| {
        let mut keys: Vec<String> = items.iter().map(|(key, _)| key.clone()).collect();
        keys.sort();
        keys
    };
    let broken_packs = [2, 3].map(|number| format!("PACK#{}", pack_id(number)));
    let dry = run(&services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    assert_eq!(keys(&dry.unusable), ["EVENT#e1", &broken_packs[0]]);
    for _ in 0..2 {
        let outcome = run(&services, &settings).await.unwrap();
        assert_eq!(keys(&outcome.unusable), ["EVENT#e1", "EVENT#e2", &broken_packs[0], &broken_packs[1]]);
        assert_eq!(keys(&outcome.failed), ["EVENT#e4"]);
        let lake = texts(&services);
        assert_eq!(lake[&pack_key(pack_id(1))], line(&packed(pack_id(1), 3)));
        assert_eq!((lake.len(), lake.keys().filter(|key| key.starts_with("events/_unusable/")).count()), (5, 4));
    }
}

/// An unsettled claim that was deleted since the scan is gone. If somebody has settled it first, it is not gone, and the
/// replay writes the object of its pack.
#[tokio::test(start_paused = true)]
async fn deleted_packed_claim_may_be_settled() {
    let services = services_later();
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(&services, folder.path());
    let [gone, settled] = [packed(pack_id(1), 1), packed(pack_id(2), 2)];
    put_in_table(&services, [gone, settled.clone()]).await;
    run(&services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    put_pack(&services, pack_id(2), &[&settled]).await;
    for event_id in ["e1", "e2"] {
        delete_claim(&services, event_id).await;
    }
    let outcome = run(&services, &settings).await.unwrap();
    assert_eq!((&outcome.gone[..], outcome.settled, outcome.written), (&["EVENT#e1".to_owned()][..], 0, 1));
    assert_eq!(texts(&services), lake_of([(pack_key(pack_id(2)), &[&settled])]));
    assert_eq!(packs(&services).await.len(), 1);
}

/// If a packed claim has replaced an unusable item since the scan, or if somebody has repaired the item, the replay settles
/// the claim, unless the invocation that made it may still do so.
#[tokio::test(start_paused = true)]
async fn repaired_packed_claim_is_settled() {
    let services = services_later();
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(&services, folder.path());
    for number in [1, 2] {
        let mut item = packed(pack_id(number), number).to_item().into_inner();
        item.remove("claimed_at");
        put_item(&services, serde_dynamo::Item::from(item)).await;
    }
    let dry = run(&services, &ReplaySettings { write: false, ..settings.clone() }).await.unwrap();
    assert_eq!(dry.unusable.len(), 2);
    let repaired = packed(pack_id(1), 1);
    let layout = Layout::Pack(PackRef { pack_id: pack_id(2), close_by_ms: services.clock.now_ms() + 60_000 });
    put_in_table(&services, [repaired.clone(), Claim { layout, ..packed(pack_id(2), 2) }]).await;
    let outcome = run(&services, &settings).await.unwrap();
    assert_eq!((outcome.settled, outcome.written, &outcome.gone[..]), (1, 1, &["EVENT#e2".to_owned()][..]));
    assert_eq!(texts(&services), lake_of([(pack_key(pack_id(1)), &[&repaired])]));
}

/// If the answer to a write is lost, the claims of the pack count as failed, and the next run completes them.
#[tokio::test(start_paused = true)]
async fn lost_answer_does_not_close_a_pack_twice() {
    let services = services_later();
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(&services, folder.path());
    let claims = [1, 2].map(|number| packed(pack_id(1), number));
    put_in_table(&services, claims.clone()).await;
    services.faults.set(|call| (call.operation == "PutItem").then_some(Fault::AnswerLost));
    let outcome = run(&services, &settings).await.unwrap();
    assert_eq!((outcome.settled, outcome.written, outcome.failed.len()), (2, 1, 0), "the pack is in the table");
    services.faults.set(|call| call.operation.ends_with(".gz").then_some(Fault::Refused(403)));
    let late = packed(pack_id(1), 3);
    put_in_table(&services, [late.clone()]).await;
    let outcome = run(&services, &settings).await.unwrap();
    assert_eq!((outcome.settled, outcome.written, outcome.failed.len()), (1, 0, 1), "{outcome:?}");
    assert!(settings.checkpoint.exists());
    services.faults.clear();
    let outcome = run(&services, &settings).await.unwrap();
    assert_eq!((outcome.settled, outcome.written), (0, 1));
    assert_eq!(
        texts(&services),
        lake_of([(pack_key(pack_id(1)), &[&claims[0], &claims[1]]), (pack_key(late.claim_id), &[&late])])
    );
}

/// If every put of a pack fails, the run ends after 200 failures, and the next run continues. The claims of one pack count as
/// one failure.
#[tokio::test(start_paused = true)]
async fn failing_table_ends_the_run() {
    let services = services_later();
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(&services, folder.path());
    put_in_table(&services, (0..205).map(|number| packed(pack_id(1), number))).await;
    services.faults.set(|call| (call.operation == "PutItem").then_some(Fault::Refused(403)));
    let outcome = run(&services, &settings).await.unwrap();
    assert_eq!((outcome.failed.len(), outcome.settled), (205, 0));
    services.faults.clear();
    put_in_table(&services, (205..415).map(|number| packed(pack_id(number), number))).await;
    services.faults.set(|call| (call.operation == "PutItem").then_some(Fault::Refused(403)));
    let error = run(&services, &settings).await.unwrap_err();
    assert!(matches!(error, ReplayError::Outage(_)), "{error}");
    assert_eq!(error.to_string().matches("failed to write 200 objects in a row").count(), 1, "{error}");
    services.faults.clear();
    let outcome = run(&services, &settings).await.unwrap();
    assert_eq!((outcome.settled, outcome.written, outcome.failed.len()), (415, 211, 0));
}

/// A replay refuses a lake with a marker of a layout that this version does not know.
#[tokio::test(start_paused = true)]
async fn unknown_layout_is_refused() {
    let services = services_later();
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(&services, folder.path());
    put_in_table(&services, [packed(pack_id(1), 1), claim_at(HOUR_STARTS_MS, 2)]).await;
    let lake = archive_fn::DataLake::new((&services.sdk_config()).into(), names::BUCKET);
    lake.put("events/_layout/columns", Vec::new(), None).await.unwrap();
    let error = run(&services, &settings).await.unwrap_err();
    assert!(
        matches!(&error, ReplayError::UnknownLayout { marker, .. } if marker == "events/_layout/columns"),
        "{error}"
    );
    assert_eq!((texts(&services).len(), packs(&services).await.len(), settings.checkpoint.exists()), (1, 0, false));
}

/// One chunk of a random table: its claims, in the table and in the lake.
struct Chunk {
    claims: Vec<Claim>,
    /// True if no one may settle the claims.
    is_too_old: bool,
}

/// Puts a random chunk into the table and the lake, as `ingest-fn` and `archive-fn` may have left it: with the layout
/// `object` or `pack`; with a pack that lists some claims, or none; with packs of their own for some of the others; with
/// some objects missing; in a table that was restored to a time before the pack was closed; and with some settled claims
/// deleted.
async fn put_random_chunk(services: &Arc<Services>, random: &mut fastrand::Rng, number: u32) -> Chunk {
    let hour = 3_600_000;
    let age_ms = random.choice([hour, hour + 60_000, 30 * hour, 35 * hour, 60 * hour]).unwrap();
    let is_too_old = age_ms == 60 * hour;
    let at_ms = services.clock.now_ms() - age_ms;
    let id = pack_id_at(at_ms, number);
    let count = random.u32(1..=5);
    let numbers = (0..count).map(|claim| (at_ms + u64::from(claim), number * 10 + claim));
    if random.u32(0..4) == 0 {
        let claims: Vec<Claim> = numbers.map(|(at_ms, number)| claim_at(at_ms, number)).collect();
        put_in_table(services, claims.clone()).await;
        let archived: Vec<Claim> = claims.iter().filter(|_| random.bool()).cloned().collect();
        put_in_lake(services, archived).await;
        return Chunk { claims, is_too_old: false };
    }
    let mut claims: Vec<Claim> = numbers.map(|(at_ms, number)| packed_at(at_ms, id, number)).collect();
    put_in_table(services, claims.clone()).await;
    let listed: Vec<&Claim> = claims.iter().filter(|_| random.u32(0..4) > 0).collect();
    if listed.is_empty() {
        return Chunk { claims, is_too_old };
    }
    let others = claims.iter().filter(|claim| !listed.contains(claim));
    let own: Vec<&Claim> = others.filter(|_| random.bool()).collect();
    // A backup has all items that were written before it. All records of the old table are archived.
    let items_restored = if is_too_old || random.bool() { usize::MAX } else { random.usize(0..=own.len()) };
    let is_restored = items_restored < usize::MAX;
    let all_packs = [(id, listed.clone())].into_iter().chain(own.iter().map(|claim| (claim.claim_id, vec![*claim])));
    for (index, (pack, claims)) in all_packs.enumerate() {
        if index < items_restored {
            put_pack(services, pack, &claims).await;
        }
        if is_restored || random.bool() {
            archive_pack(services, pack, &claims).await;
        }
    }
    if !is_restored && random.bool() {
        let deleted = listed[0].clone();
        delete_claim(services, &deleted.event_id).await;
        claims.retain(|claim| *claim != deleted);
    }
    Chunk { claims, is_too_old }
}

/// In random tables and lakes, a replay that is killed at any request, or whose requests and answers are lost, gives each
/// claim exactly one copy in the lake. A claim that no one may settle gets no additional copy.
#[tokio::test(start_paused = true)]
async fn random_tables_are_completed() {
    let mut settled = 0;
    let mut rebuilt = 0;
    let mut kills = 0;
    for seed in 0..30 {
        let mut random = fastrand::Rng::with_seed(seed);
        let services = services_with_clock_at(STARTS_AT_SECONDS);
        let mut chunks = Vec::new();
        for number in 0..random.u32(1..8) {
            chunks.push(put_random_chunk(&services, &mut random, number).await);
        }
        let before = texts(&services);
        let folder = tempfile::tempdir().unwrap();
        let settings = settings_of(&services, folder.path());
        for attempt in 1.. {
            assert!(attempt < 500, "seed {seed}: the replay does not make progress");
            let answered = if attempt == 1 { 4 } else { random.usize(4..30) };
            let requests = AtomicUsize::new(0);
            let faults: Vec<u32> = (0..64).map(|_| random.u32(0..20)).collect();
            services.faults.set(move |_| match requests.fetch_add(1, Ordering::SeqCst) {
                number if number >= answered && number % 2 == 0 => Some(Fault::AnswerDelayed(DAY)),
                number if number >= answered => Some(Fault::RequestDelayed(DAY)),
                number => match faults[number % 64] {
                    0 => Some(Fault::RequestLost),
                    1 => Some(Fault::AnswerLost),
                    _ => None,
                },
            });
            let write = random.u32(0..4) > 0;
            let settings = ReplaySettings { write, ..settings.clone() };
            match timeout(Duration::from_secs(40), run(&services, &settings)).await {
                Ok(Ok(outcome)) => {
                    assert_eq!((&outcome.gone[..], &outcome.unusable[..]), (&[][..], &[][..]), "seed {seed}");
                    settled += outcome.settled;
                    rebuilt += outcome.rebuilt;
                    if write && outcome.failed.is_empty() {
                        break;
                    }
                }
                Ok(Err(_)) | Err(_) => kills += 1,
            }
        }
        services.faults.clear();
        // Requests that were delayed arrive before the lake is checked.
        sleep(DAY * 2).await;
        let after = texts(&services);
        for (key, text) in &before {
            assert_eq!(after.get(key), Some(text), "seed {seed}: {key}");
        }
        let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (key, text) in &after {
            text.split_inclusive('\n').for_each(|line| places.entry(line).or_default().push(key));
        }
        for (line, keys) in &places {
            assert_eq!(keys.len(), 1, "seed {seed}: {line} is in {keys:?}");
        }
        for Chunk { claims, is_too_old } in &chunks {
            for claim in claims {
                let is_archived = places.contains_key(line(claim).as_str());
                assert!(is_archived || *is_too_old, "seed {seed}: {} is missing", claim.event_id);
            }
        }
        for (pack_id, pack) in packs(&services).await {
            let object = archive_fn::PackObject::build(&pack).unwrap();
            let claims: Vec<String> = object.lines.iter().map(|ids| ids.claim_id.to_string()).collect();
            let text = &after[&pack_key(pack_id)];
            assert_eq!(text.lines().count(), claims.len(), "seed {seed}");
            assert!(claims.iter().zip(text.lines()).all(|(id, line)| line.contains(id)), "seed {seed}");
        }
    }
    assert!(settled > 25 && rebuilt > 8 && kills > 25, "{settled} {rebuilt} {kills}");
}

/// A pipeline with packs in which the writes of packs fail for a while, and the lake for longer. Sends `numbers` events.
/// Afterwards, the claims of some dead letters are in no pack, and the stream mapping has discarded records.
async fn outage_of_packs(numbers: std::ops::Range<u32>) -> World {
    let mut settings = PipelineSettings::default();
    settings.ingest.lake_layout = ingest_fn::LakeLayout::Packs;
    settings.stream_mapping.filter = PipelineSettings::pack_filter();
    settings.stream_mapping.maximum_record_age = Some(MINUTE * 5);
    let world = World::start_on(&services_at(STARTS_AT_SECONDS + 3_420), settings);
    let puts = AtomicUsize::new(0);
    world.services.faults.set(move |call| {
        if call.service == Service::S3 && call.operation.starts_with("PUT") {
            return Some(Fault::Refused(503));
        }
        if !puts_pack(call) {
            return None;
        }
        match puts.fetch_add(1, Ordering::SeqCst) % 40 {
            0 => Some(Fault::AnswerLost),
            20 => None,
            _ => Some(Fault::Refused(500)),
        }
    });
    for number in numbers {
        world.send(&pipeline::testkit::body(&format!("e{number}")));
        sleep(Duration::from_millis(300)).await;
    }
    sleep(MINUTE * 40).await;
    assert!(world.dead_letters() > 0 && world.counts(names::ON_FAILURE_QUEUE).visible > 0);
    assert!(texts(&world.services).is_empty());
    world.services.faults.clear();
    world
}

fn puts_pack(call: &emulator::Call<'_>) -> bool {
    call.operation == "PutItem" && String::from_utf8_lossy(call.request.body()).contains("\"PACK#")
}

/// Asserts that the lake has each claim of the table exactly once, and nothing else.
async fn assert_each_claim_once(world: &World) {
    let mut lines: Vec<String> =
        texts(&world.services).values().flat_map(|text| text.split_inclusive('\n').map(str::to_owned)).collect();
    lines.sort();
    let mut expected: Vec<String> = world.claims().await.values().map(line).collect();
    expected.sort();
    assert_eq!(lines, expected);
}

/// A replay settles the claims that an outage left without a pack, and writes the objects of discarded records. It can run
/// while `ingest-fn` settles the same claims for duplicates, and while `archive-fn` writes the same packs.
#[tokio::test(start_paused = true)]
async fn replay_settles_beside_the_functions() {
    const EVENTS: u32 = 120;
    let world = outage_of_packs(0..EVENTS).await;
    let services = &world.services;
    let claims: Vec<Claim> = world.claims().await.into_values().collect();
    let in_packs: Vec<Uuid> = packs(services).await.values().flat_map(listed).collect();
    let unsettled = claims.iter().filter(|claim| !in_packs.contains(&claim.claim_id)).count();
    assert!(claims.len() == EVENTS as usize && unsettled > 20, "{unsettled}");

    services.faults.set(|call| {
        let is_write = puts_pack(call) || call.operation.starts_with("PUT");
        is_write.then_some(Fault::AnswerDelayed(Duration::from_secs(1)))
    });
    let folder = tempfile::tempdir().unwrap();
    let settings = settings_of(services, folder.path());
    let slow = ReplaySettings { rate: NonZeroU32::new(2).unwrap(), ..settings.clone() };
    let duplicates = async {
        for number in (0..EVENTS).rev() {
            world.send(&pipeline::testkit::body(&format!("e{number}")));
            sleep(Duration::from_millis(50)).await;
        }
    };
    let (outcome, ()) = tokio::join!(run(services, &slow), duplicates);
    let outcome = outcome.unwrap();
    assert!(outcome.settled > 5 && outcome.failed.is_empty(), "{outcome:?}");
    wait_until_within(DAY, "the queue is empty", || world.counts(names::QUEUE) == Counts::default()).await;
    services.faults.clear();
    sleep(MINUTE * 10).await;
    let last = run(services, &settings).await.unwrap();
    assert_eq!((&last.failed[..], sums(&last)[2]), (&[][..], 0));
    assert_each_claim_once(&world).await;
}
