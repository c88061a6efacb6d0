//! Behaviors of S3: conditional writes to a bucket with versioning.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use archive_fn::{DataLake, PutOutcome};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use claim::ObjectPrefix;

use crate::behavior::{Behavior, behavior};
use crate::claims::{HERD, claim, now_seconds, trace_id};
use crate::outcome::{Mismatch, Outcome, expect_eq, response_code, run_concurrently};
use crate::stage::Stage;

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(
            S3,
            "A creation (a put with `If-None-Match: *`) succeeds once per key; further ones fail with 412",
            key_is_created_once_then_412
        ),
        behavior!(S3, "A failed creation changes nothing", failed_creation_changes_nothing),
        behavior!(
            S3,
            "A creation stores the object's user metadata; a later creation that fails does not change it",
            object_has_metadata_of_its_creation
        ),
        behavior!(
            S3,
            "Of 50 concurrent creations of a key, one wins and its content is the only version",
            herd_creation_has_one_winner
        ),
        behavior!(
            S3,
            "A put over an existing object without `If-None-Match` adds a second version",
            put_without_header_adds_version
        ),
        behavior!(
            S3,
            "A key whose latest version is a delete marker can be created again",
            deleted_key_can_be_created_again
        ),
        behavior!(
            S3,
            "Keys with an equals sign or other special characters are stored unchanged",
            special_characters_in_keys_are_kept
        ),
        behavior!(
            S3,
            "Listing versions with a full key as the prefix returns only keys that begin with that prefix",
            versions_are_listed_by_full_key
        ),
        behavior!(
            S3,
            "A paged version list that starts at a key marker contains every later version and delete marker once",
            version_pages_are_complete
        ),
        behavior!(
            S3,
            "An object of slightly more than 1 MiB is read back as it was written",
            object_over_1_mib_is_read_back_unchanged
        ),
        behavior!(S3, "Reading a key that has no object fails with `NoSuchKey`", missing_object_is_no_such_key),
        behavior!(
            S3,
            "Writing to a missing bucket is an error, not a sign that the object exists",
            missing_bucket_is_an_error
        ),
    ]
}

/// Returns a new key in the form that `archive-fn` uses.
fn object_key(stage: &Stage) -> String {
    ObjectPrefix::parse("events/").unwrap().object_key(&claim(&stage.unique("object"), now_seconds()))
}

async fn create(
    stage: &Stage,
    key: &str,
    content: &[u8],
) -> Result<Result<PutObjectOutput, SdkError<PutObjectError>>, Mismatch> {
    let request = stage.archive.s3.put_object().bucket(stage.bucket().await?).key(key).if_none_match("*");
    Ok(request.body(content.to_vec().into()).send().await)
}

/// Returns the HTTP status, or 0 if there was no response.
fn status(result: &Result<PutObjectOutput, SdkError<PutObjectError>>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(error) => error.raw_response().map_or(0, |raw| raw.status().as_u16()),
    }
}

async fn content(stage: &Stage, key: &str) -> Result<Vec<u8>, Mismatch> {
    let object = stage.operator.s3.get_object().bucket(stage.bucket().await?).key(key).send().await?;
    Ok(object.body.collect().await?.to_vec())
}

/// Lists the versions of all keys that start with `prefix`. Returns each version's key, and whether the version is the
/// key's latest one.
async fn versions(stage: &Stage, prefix: &str) -> Result<Vec<(String, bool)>, Mismatch> {
    let request = stage.operator.s3.list_object_versions().bucket(stage.bucket().await?).prefix(prefix);
    let listed = request.send().await?.versions.unwrap_or_default();
    Ok(listed.into_iter().map(|it| (it.key.unwrap_or_default(), it.is_latest.unwrap_or_default())).collect())
}

/// Guarantee 1 depends on this behavior: S3 answers 412 if, and only if, the object already exists.
async fn key_is_created_once_then_412(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(status(&create(&stage, &key, b"a\n").await?));
    }
    expect_eq("three creations", statuses, vec![200, 412, 412])?;
    let refused = create(&stage, &key, b"a\n").await?;
    expect_eq("error code", response_code(&refused).as_str(), "PreconditionFailed")
}

async fn failed_creation_changes_nothing(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    create(&stage, &key, b"first\n").await??;
    let _refused = create(&stage, &key, b"second\n").await?;
    expect_eq("content", content(&stage, &key).await?, b"first\n".to_vec())?;
    expect_eq("versions", versions(&stage, &key).await?, vec![(key, true)])
}

/// In this metadata, an operator finds the trace id of the message that an object comes from. The test writes with
/// `archive-fn`'s own code.
async fn object_has_metadata_of_its_creation(stage: Arc<Stage>) -> Outcome {
    let lake = DataLake::new((&stage.archive.config).into(), stage.bucket().await?);
    let key = object_key(&stage);
    let first = trace_id();
    let expected = Some(HashMap::from([("trace-id".to_owned(), first.to_string())]));
    for (trace_id, outcome) in [(first, PutOutcome::Written), (trace_id(), PutOutcome::AlreadyThere)] {
        expect_eq("creation", lake.put(&key, b"a\n".to_vec(), Some(&trace_id)).await?, outcome)?;
        let read = stage.operator.s3.get_object().bucket(stage.bucket().await?).key(&key).send().await?;
        expect_eq("metadata in GetObject", &read.metadata, &expected)?;
        let head = stage.operator.s3.head_object().bucket(stage.bucket().await?).key(&key).send().await?;
        expect_eq("metadata in HeadObject", &head.metadata, &expected)?;
    }
    Ok(())
}

/// The test sends all requests at once, each with its own content, with `archive-fn`'s own code.
async fn herd_creation_has_one_winner(stage: Arc<Stage>) -> Outcome {
    let lake = Arc::new(DataLake::new((&stage.archive.config).into(), stage.bucket().await?));
    for _ in 0..8 {
        let key = object_key(&stage);
        let contents: Vec<_> = (0..HERD).map(|writer| format!("{writer}\n").into_bytes()).collect();
        let outcomes = run_concurrently(contents.clone().into_iter().map(|content| {
            let lake = Arc::clone(&lake);
            let key = key.clone();
            async move { lake.put(&key, content, None).await }
        }))
        .await;
        let outcomes: Vec<_> = outcomes.into_iter().collect::<Result<_, _>>()?;
        let winners: Vec<_> = contents.iter().zip(outcomes).filter(|(_, it)| *it == PutOutcome::Written).collect();
        expect_eq("winners", winners.len(), 1)?;
        expect_eq("content", &content(&stage, &key).await?, winners[0].0)?;
        expect_eq("versions", versions(&stage, &key).await?, vec![(key, true)])?;
    }
    Ok(())
}

/// The producer checks that each object has exactly one version. This check finds overwrites only because an overwrite
/// adds a second version.
async fn put_without_header_adds_version(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    create(&stage, &key, b"first\n").await??;
    let request = stage.archive.s3.put_object().bucket(stage.bucket().await?).key(&key);
    request.body(b"second\n".to_vec().into()).send().await?;
    expect_eq("versions", versions(&stage, &key).await?, vec![(key.clone(), true), (key.clone(), false)])?;
    expect_eq("content", content(&stage, &key).await?, b"second\n".to_vec())
}

/// `If-None-Match` looks at the current version only. After someone deletes an object by hand, a redelivered record can
/// therefore write the object a second time.
async fn deleted_key_can_be_created_again(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    create(&stage, &key, b"first\n").await??;
    stage.operator.s3.delete_object().bucket(stage.bucket().await?).key(&key).send().await?;
    let statuses =
        [status(&create(&stage, &key, b"second\n").await?), status(&create(&stage, &key, b"third\n").await?)];
    expect_eq("two creations behind a delete marker", statuses, [200, 412])?;
    expect_eq("versions", versions(&stage, &key).await?, vec![(key.clone(), true), (key.clone(), false)])?;
    expect_eq("content", content(&stage, &key).await?, b"second\n".to_vec())
}

/// Every key in the lake contains equals signs: `dt=…/hour=…`.
async fn special_characters_in_keys_are_kept(stage: Arc<Stage>) -> Outcome {
    let folder = format!("events/dt=2026-11-23/hour=09/{}", stage.unique("keys"));
    let keys: HashSet<_> = ["a=b", "a%3Db", "(c)'!*", "_unusable"].map(|name| format!("{folder}/{name}.json")).into();
    for key in &keys {
        create(&stage, key, key.as_bytes()).await??;
    }
    for key in &keys {
        expect_eq("content", content(&stage, key).await?, key.clone().into_bytes())?;
    }
    let request = stage.operator.s3.list_objects_v2().bucket(stage.bucket().await?).prefix(&folder);
    let listed = request.send().await?.contents.unwrap_or_default();
    expect_eq("keys listed", listed.into_iter().filter_map(|object| object.key).collect(), keys)
}

/// The producer uses this request to count the versions of a single object.
async fn versions_are_listed_by_full_key(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    let longer = format!("{key}.bak");
    let other = object_key(&stage);
    for key in [&key, &longer, &other] {
        create(&stage, key, b"a\n").await??;
    }
    let listed: HashSet<_> = versions(&stage, &key).await?.into_iter().collect();
    expect_eq("versions", listed, HashSet::from([(key, true), (longer, true)]))
}

/// The producer lists the versions of many objects at once. It starts the list at a marker that is not an existing key.
async fn version_pages_are_complete(stage: Arc<Stage>) -> Outcome {
    let folder = format!("events/dt=2026-11-23/hour=09/{}", stage.unique("pages"));
    let [first, second, third] = ["a", "b", "c"].map(|name| format!("{folder}/{name}.json"));
    for key in [&first, &second, &third] {
        create(&stage, key, b"a\n").await??;
    }
    stage.operator.s3.delete_object().bucket(stage.bucket().await?).key(&second).send().await?;
    create(&stage, &second, b"b\n").await??;

    let mut listed = Vec::new();
    let mut begin = (Some(second[..second.len() - 1].to_owned()), None);
    while let (Some(key), version) = begin {
        let request = stage.operator.s3.list_object_versions().bucket(stage.bucket().await?).prefix(&folder);
        let page = request.max_keys(1).key_marker(key).set_version_id_marker(version).send().await?;
        listed.extend(page.versions.into_iter().flatten().map(|version| (version.key.unwrap_or_default(), true)));
        listed.extend(page.delete_markers.into_iter().flatten().map(|it| (it.key.unwrap_or_default(), false)));
        let more = page.is_truncated == Some(true);
        begin = (page.next_key_marker.filter(|_| more), page.next_version_id_marker);
    }
    let expected = vec![(second.clone(), true), (second.clone(), false), (second, true), (third, true)];
    expect_eq("versions and delete markers", listed, expected)
}

/// An object is a line of JSON that contains the event's body. It can be slightly longer than the longest body (1 MiB).
async fn object_over_1_mib_is_read_back_unchanged(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    let line: Vec<_> = (0..1_048_576 + 4_096).map(|_| fastrand::u8(..)).collect();
    create(&stage, &key, &line).await??;
    expect_eq("content is unchanged", content(&stage, &key).await? == line, true)
}

async fn missing_object_is_no_such_key(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    let read = stage.operator.s3.get_object().bucket(stage.bucket().await?).key(&key).send().await;
    expect_eq("reading the key", response_code(&read).as_str(), "NoSuchKey")?;
    expect_eq("versions", versions(&stage, &key).await?, vec![])
}

/// A function that is configured with a wrong bucket name must fail.
async fn missing_bucket_is_an_error(stage: Arc<Stage>) -> Outcome {
    let lake = DataLake::new((&stage.archive.config).into(), &stage.unique("nowhere"));
    expect_eq("writing fails", lake.put("events/a.json", b"a\n".to_vec(), None).await.is_err(), true)
}
