//! The data lake: conditional writes to a bucket with versions.

use std::collections::HashSet;
use std::sync::Arc;

use archive_fn::{DataLake, PutOutcome};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use claim::ObjectPrefix;

use crate::behavior::{Behavior, behavior};
use crate::claims::{HERD, claim, now_seconds};
use crate::outcome::{Instead, Outcome, answer, at_once, same};
use crate::stage::Stage;

pub(crate) fn behaviors() -> Vec<Behavior> {
    vec![
        behavior!(S3, "a key is created once and then answers 412", a_key_is_created_once_and_then_answers_412),
        behavior!(S3, "a refused creation changes nothing", a_refused_creation_changes_nothing),
        behavior!(
            S3,
            "of a herd creating a key one wins and its content is the only version",
            of_a_herd_creating_a_key_one_wins_and_its_content_is_the_only_version
        ),
        behavior!(
            S3,
            "a put without the header makes a second version",
            a_put_without_the_header_makes_a_second_version
        ),
        behavior!(
            S3,
            "a key can be created again behind a delete marker",
            a_key_can_be_created_again_behind_a_delete_marker
        ),
        behavior!(S3, "keys with an equals sign are kept as they are", keys_with_an_equals_sign_are_kept_as_they_are),
        behavior!(S3, "versions are listed by a keys full name", versions_are_listed_by_a_keys_full_name),
        behavior!(
            S3,
            "an object of 1 mib comes back as it was written",
            an_object_of_1_mib_comes_back_as_it_was_written
        ),
        behavior!(S3, "a key without an object is no such key", a_key_without_an_object_is_no_such_key),
        behavior!(
            S3,
            "a bucket that is not there is not taken for an object that is",
            a_bucket_that_is_not_there_is_not_taken_for_an_object_that_is
        ),
    ]
}

/// As `archive-fn` names objects.
fn object_key(stage: &Stage) -> String {
    ObjectPrefix::parse("events/").unwrap().object_key(&claim(&stage.unique("object"), now_seconds()))
}

async fn create(
    stage: &Stage,
    key: &str,
    content: &[u8],
) -> Result<Result<PutObjectOutput, SdkError<PutObjectError>>, Instead> {
    let request = stage.archive.s3.put_object().bucket(stage.bucket().await?).key(key).if_none_match("*");
    Ok(request.body(content.to_vec().into()).send().await)
}

/// The HTTP status, which alone `archive-fn` goes by.
fn status(result: &Result<PutObjectOutput, SdkError<PutObjectError>>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(error) => error.raw_response().map_or(0, |raw| raw.status().as_u16()),
    }
}

async fn content(stage: &Stage, key: &str) -> Result<Vec<u8>, Instead> {
    let object = stage.operator.s3.get_object().bucket(stage.bucket().await?).key(key).send().await?;
    Ok(object.body.collect().await?.to_vec())
}

/// Key, and whether it is the latest, of every version whose key begins so.
async fn versions(stage: &Stage, prefix: &str) -> Result<Vec<(String, bool)>, Instead> {
    let request = stage.operator.s3.list_object_versions().bucket(stage.bucket().await?).prefix(prefix);
    let listed = request.send().await?.versions.unwrap_or_default();
    Ok(listed.into_iter().map(|it| (it.key.unwrap_or_default(), it.is_latest.unwrap_or_default())).collect())
}

/// Guarantee 1 ends here: whoever writes a second time is told that it is there, and only then.
async fn a_key_is_created_once_and_then_answers_412(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(status(&create(&stage, &key, b"a\n").await?));
    }
    same("three creations", statuses, vec![200, 412, 412])?;
    let refused = create(&stage, &key, b"a\n").await?;
    same("its code", answer(&refused).as_str(), "PreconditionFailed")
}

async fn a_refused_creation_changes_nothing(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    create(&stage, &key, b"first\n").await??;
    let _refused = create(&stage, &key, b"second\n").await?;
    same("content", content(&stage, &key).await?, b"first\n".to_vec())?;
    same("versions", versions(&stage, &key).await?, vec![(key, true)])
}

/// The function's own request, from many sandboxes at once.
async fn of_a_herd_creating_a_key_one_wins_and_its_content_is_the_only_version(stage: Arc<Stage>) -> Outcome {
    let lake = Arc::new(DataLake::new((&stage.archive.config).into(), stage.bucket().await?));
    for _ in 0..8 {
        let key = object_key(&stage);
        let contents: Vec<_> = (0..HERD).map(|writer| format!("{writer}\n").into_bytes()).collect();
        let outcomes = at_once(contents.clone().into_iter().map(|content| {
            let lake = Arc::clone(&lake);
            let key = key.clone();
            async move { lake.put(&key, content).await }
        }))
        .await;
        let outcomes: Vec<_> = outcomes.into_iter().collect::<Result<_, _>>()?;
        let winners: Vec<_> = contents.iter().zip(outcomes).filter(|(_, it)| *it == PutOutcome::Written).collect();
        same("winners", winners.len(), 1)?;
        same("content", &content(&stage, &key).await?, winners[0].0)?;
        same("versions", versions(&stage, &key).await?, vec![(key, true)])?;
    }
    Ok(())
}

/// So "one version" in the producer's verdict means something: an overwrite would show.
async fn a_put_without_the_header_makes_a_second_version(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    create(&stage, &key, b"first\n").await??;
    let request = stage.archive.s3.put_object().bucket(stage.bucket().await?).key(&key);
    request.body(b"second\n".to_vec().into()).send().await?;
    same("versions", versions(&stage, &key).await?, vec![(key.clone(), true), (key.clone(), false)])?;
    same("content", content(&stage, &key).await?, b"second\n".to_vec())
}

/// The header looks at the current version: deleting an object by hand lets a redelivered record write it anew.
async fn a_key_can_be_created_again_behind_a_delete_marker(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    create(&stage, &key, b"first\n").await??;
    stage.operator.s3.delete_object().bucket(stage.bucket().await?).key(&key).send().await?;
    let statuses =
        [status(&create(&stage, &key, b"second\n").await?), status(&create(&stage, &key, b"third\n").await?)];
    same("two creations behind a delete marker", statuses, [200, 412])?;
    same("versions", versions(&stage, &key).await?, vec![(key.clone(), true), (key.clone(), false)])?;
    same("content", content(&stage, &key).await?, b"second\n".to_vec())
}

/// `dt=…/hour=…` are in every key.
async fn keys_with_an_equals_sign_are_kept_as_they_are(stage: Arc<Stage>) -> Outcome {
    let folder = format!("events/dt=2026-11-23/hour=09/{}", stage.unique("keys"));
    let keys: HashSet<_> = ["a=b", "a%3Db", "(c)'!*", "_unusable"].map(|name| format!("{folder}/{name}.json")).into();
    for key in &keys {
        create(&stage, key, key.as_bytes()).await??;
    }
    for key in &keys {
        same("content", content(&stage, key).await?, key.clone().into_bytes())?;
    }
    let request = stage.operator.s3.list_objects_v2().bucket(stage.bucket().await?).prefix(&folder);
    let listed = request.send().await?.contents.unwrap_or_default();
    same("keys listed", listed.into_iter().filter_map(|object| object.key).collect(), keys)
}

/// How the producer counts versions.
async fn versions_are_listed_by_a_keys_full_name(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    let longer = format!("{key}.bak");
    let other = object_key(&stage);
    for key in [&key, &longer, &other] {
        create(&stage, key, b"a\n").await??;
    }
    let listed: HashSet<_> = versions(&stage, &key).await?.into_iter().collect();
    same("versions", listed, HashSet::from([(key, true), (longer, true)]))
}

/// The longest line is little more than the longest body, 1 MiB.
async fn an_object_of_1_mib_comes_back_as_it_was_written(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    let line: Vec<_> = (0..1_048_576 + 4_096).map(|_| fastrand::u8(..)).collect();
    create(&stage, &key, &line).await??;
    same("content is the same", content(&stage, &key).await? == line, true)
}

async fn a_key_without_an_object_is_no_such_key(stage: Arc<Stage>) -> Outcome {
    let key = object_key(&stage);
    let read = stage.operator.s3.get_object().bucket(stage.bucket().await?).key(&key).send().await;
    same("reading it", answer(&read).as_str(), "NoSuchKey")?;
    same("versions", versions(&stage, &key).await?, vec![])
}

/// A misconfigured function fails.
async fn a_bucket_that_is_not_there_is_not_taken_for_an_object_that_is(stage: Arc<Stage>) -> Outcome {
    let lake = DataLake::new((&stage.archive.config).into(), &stage.unique("nowhere"));
    same("writing there fails", lake.put("events/a.json", b"a\n".to_vec()).await.is_err(), true)
}
