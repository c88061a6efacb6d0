//! Tests of events that have an object, with or without a claim.

use pipeline::names;
use producer::trace::Place;
use tokio::time::sleep;

use crate::traced_pipeline::{DAY, TracedPipeline, text};

/// If the claim was deleted, `trace` finds the object under the key that `archive-fn` logged.
#[tokio::test(start_paused = true)]
async fn archived_event_is_found_without_its_claim() {
    let traced = TracedPipeline::start();
    traced.send(r#"{"event_id":"a"}"#);
    traced.until(|services| services.lakes.versions(names::BUCKET).len() == 1).await;
    traced.delete_claim("a").await;
    let story = traced.trace("a").await;
    assert_eq!((story.place, story.object.unwrap().as_claimed), (Place::Archived, None));
}

/// The story marks an expired claim, and its event still counts as archived.
#[tokio::test(start_paused = true)]
async fn expired_claim_is_marked() {
    let mut traced = TracedPipeline::start();
    traced.archive("a").await;
    assert!(!traced.trace("a").await.claim.unwrap().expired);
    // Stop the pipeline, because simulating 17 days of polling is slow.
    traced.pipeline = None;
    sleep(DAY * 17).await;
    let story = traced.trace("a").await;
    assert!(story.place == Place::Archived && story.claim.as_ref().unwrap().expired);
    assert!(text(&story).contains(", was valid until 2027-01-31T"), "{}", text(&story));
}

/// The pipeline never writes an object twice, so a second version means that something else wrote to the lake.
#[tokio::test(start_paused = true)]
async fn second_object_version_is_overwritten() {
    let traced = TracedPipeline::start();
    traced.archive("a").await;
    let key = traced.services.lakes.versions(names::BUCKET).into_keys().next().unwrap();
    let client = aws_sdk_s3::Client::new(&traced.services.sdk_config());
    client.put_object().bucket(names::BUCKET).key(&key).body(b"other".to_vec().into()).send().await.unwrap();
    let story = traced.trace("a").await;
    let object = story.object.as_ref().unwrap();
    assert_eq!((story.place, object.versions, object.as_claimed), (Place::Overwritten, 2, Some(false)));
    let expected = "2 versions, 5 bytes, content DOES NOT match the claim";
    assert!(text(&story).contains(expected), "{}", text(&story));
}

/// An object that someone deleted and `replay` wrote again has two identical versions. Its event counts as archived,
/// not as overwritten.
#[tokio::test(start_paused = true)]
async fn restored_object_is_archived() {
    let traced = TracedPipeline::start();
    traced.archive("a").await;
    let (key, versions) = traced.services.lakes.versions(names::BUCKET).into_iter().next().unwrap();
    let client = aws_sdk_s3::Client::new(&traced.services.sdk_config());
    let delete = || client.delete_object().bucket(names::BUCKET).key(&key).send();
    let write = |body: Vec<u8>| client.put_object().bucket(names::BUCKET).key(&key).body(body.into()).send();
    for times in 1..=2 {
        delete().await.unwrap();
        assert!(traced.trace("a").await.object.is_none());
        write(versions[0].to_vec()).await.unwrap();
        let story = traced.trace("a").await;
        assert_eq!(story.place, Place::Archived, "{}", story.explanation);
        assert_eq!(story.explanation, "the event is archived; its object was deleted and written again");
        let expected = format!("1 version and {times} deleted with the same content, ");
        assert!(text(&story).contains(&expected), "{}", text(&story));
    }
    // A version with other content cannot come from `replay`, even if the earlier versions were deleted first.
    delete().await.unwrap();
    write(b"other".to_vec()).await.unwrap();
    let story = traced.trace("a").await;
    assert_eq!((story.place, story.object.unwrap().versions), (Place::Overwritten, 4));
}

/// If the first version was not deleted, a second version with the same content means that something else wrote to the
/// lake.
#[tokio::test(start_paused = true)]
async fn repeated_object_is_overwritten() {
    let traced = TracedPipeline::start();
    traced.archive("a").await;
    let (key, versions) = traced.services.lakes.versions(names::BUCKET).into_iter().next().unwrap();
    let client = aws_sdk_s3::Client::new(&traced.services.sdk_config());
    client.put_object().bucket(names::BUCKET).key(&key).body(versions[0].to_vec().into()).send().await.unwrap();
    assert_eq!(traced.trace("a").await.place, Place::Overwritten);
}

/// The story of a packed event names the pack and the line.
#[tokio::test(start_paused = true)]
async fn packed_event_is_found_in_its_pack() {
    let mut traced = TracedPipeline::start_packed();
    for event_id in ["a", "b", "c"] {
        traced.send(&format!(r#"{{"event_id":"{event_id}"}}"#));
    }
    traced.until(|services| services.lakes.versions(names::BUCKET).len() == 1).await;
    let key = traced.services.lakes.versions(names::BUCKET).into_keys().next().unwrap();
    for (event_id, line) in [("a", 1), ("b", 2), ("c", 3)] {
        let story = traced.trace(event_id).await;
        let object = story.object.as_ref().unwrap();
        assert_eq!((story.place, object.line, object.as_claimed), (Place::Archived, Some(line), Some(true)));
        let expected = format!("line {line} of the pack {key}: 1 version, ");
        assert!(text(&story).contains(&expected), "{}", text(&story));
    }
    traced.pipeline = None;
    traced.delete_claim("b").await;
    let story = traced.trace("b").await;
    assert_eq!((story.place, story.object.map(|object| object.line)), (Place::Archived, Some(Some(2))));
}

/// A claim whose pack does not list it is in a pack of its own, or on its way there.
#[tokio::test(start_paused = true)]
async fn unlisted_event_is_not_in_the_pack() {
    let traced = TracedPipeline::start_packed();
    traced.send(r#"{"event_id":"a"}"#);
    traced.until(|services| services.lakes.versions(names::BUCKET).len() == 1).await;
    // Another claim of the same pack, whose winner died before the close.
    traced.copy_claim("a", "b").await;
    let story = traced.trace("b").await;
    assert!(story.place == Place::InStream && story.object.is_none(), "{}", text(&story));
}
