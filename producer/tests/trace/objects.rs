//! Tests of events that have an object, with or without a claim.

use aws_sdk_dynamodb::types::AttributeValue;
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
    let client = aws_sdk_dynamodb::Client::new(&traced.services.sdk_config());
    let key = |text: &str| AttributeValue::S(text.to_owned());
    client
        .delete_item()
        .table_name(names::TABLE)
        .key("pk", key("EVENT#a"))
        .key("sk", key("CLAIM"))
        .send()
        .await
        .unwrap();
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
