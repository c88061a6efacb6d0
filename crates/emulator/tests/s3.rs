//! Buckets follow the rules of the S3 user guide. Each test checks one rule. The contract tests check the other rules.

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use emulator::{Clock, Services};

const BUCKET: &str = "lake";

fn lake() -> (Arc<Services>, Client) {
    let services = Services::on_clock(Clock::real(), 1);
    services.lakes.create_bucket(BUCKET);
    let client = Client::new(&services.sdk_config());
    (services, client)
}

fn trace(id: &str) -> HashMap<String, String> {
    [("trace-id".to_owned(), id.to_owned())].into()
}

/// `GetObject` and `HeadObject` return the user metadata that `PutObject` sent. A refused `PutObject` does not change
/// the metadata.
#[tokio::test(start_paused = true)]
async fn user_metadata_is_returned_as_sent() {
    let (services, client) = lake();
    for (id, written) in [("first", true), ("second", false)] {
        let put = client.put_object().bucket(BUCKET).key("k").if_none_match("*").metadata("trace-id", id);
        assert_eq!(put.send().await.is_ok(), written);
        let read = client.get_object().bucket(BUCKET).key("k").send().await.unwrap();
        assert_eq!(read.metadata, Some(trace("first")));
        let head = client.head_object().bucket(BUCKET).key("k").send().await.unwrap();
        assert_eq!(head.metadata, Some(trace("first")));
        assert_eq!(services.lakes.metadata(BUCKET, "k"), Some(trace("first").into_iter().collect()));
    }
    client.put_object().bucket(BUCKET).key("plain").send().await.unwrap();
    let read = client.get_object().bucket(BUCKET).key("plain").send().await.unwrap();
    assert_eq!(read.metadata.unwrap_or_default(), HashMap::new());
    assert_eq!(services.lakes.metadata(BUCKET, "plain"), Some([].into()));
    assert_eq!(services.lakes.metadata(BUCKET, "nowhere"), None);
}

/// The names and values of an object's user metadata have at most 2 KB together.
#[tokio::test(start_paused = true)]
async fn user_metadata_is_at_most_2_kb() {
    let (services, client) = lake();
    // The other name and value, and this name, have 6 bytes.
    for (bytes, refused) in [(2_042, None), (2_043, Some("MetadataTooLarge"))] {
        let key = bytes.to_string();
        let put = client.put_object().bucket(BUCKET).key(&key).metadata("ab", "c").metadata("def", "x".repeat(bytes));
        let answer = put.send().await;
        let status = answer.as_ref().err().map(|error| error.raw_response().unwrap().status().as_u16());
        assert_eq!(status, refused.map(|_| 400));
        assert_eq!(answer.as_ref().err().and_then(|error| error.code()), refused);
        assert_eq!(services.lakes.metadata(BUCKET, &key).is_some(), refused.is_none());
    }
}
