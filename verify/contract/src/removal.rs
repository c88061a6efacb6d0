//! Removes every resource whose name starts with `CONTRACT_RUN`. Prints how many resources of each service it removed,
//! and each resource that it could not remove.

use std::process::ExitCode;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine::Service;
use crate::outcome::Mismatch;
use crate::stage::Stage;

/// Removes the resources of the run. Fails if anything could not be removed.
pub(crate) async fn remove(stage: &Stage) -> ExitCode {
    let mut left = Vec::new();
    for service in [Service::DynamoDb, Service::Sqs, Service::S3, Service::Logs] {
        if !stage.engine.has(service) {
            continue;
        }
        let found = match service {
            Service::Sqs => queues(stage, &mut left).await,
            Service::S3 => buckets(stage, &mut left).await,
            Service::Logs => log_groups(stage, &mut left).await,
            Service::DynamoDb | Service::Streams => tables(stage, &mut left).await,
        };
        match found {
            Ok(removed) => println!("{service}: {removed} removed"),
            Err(Mismatch(error)) => {
                left.push(format!("everything in {service} that starts with {}: {error}", stage.run));
            }
        }
    }
    for what in &left {
        eprintln!("NOT REMOVED: {what}");
    }
    if left.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The number of removed resources, and descriptions of those that could not be removed.
struct Removals<'a> {
    removed: usize,
    left: &'a mut Vec<String>,
}

impl Removals<'_> {
    fn note<T, E: std::error::Error + 'static>(&mut self, what: &str, result: Result<T, E>) {
        match result {
            Ok(_) => self.removed += 1,
            Err(error) => self.left.push(format!("{what}: {}", lambda_support::error_chain(&error))),
        }
    }
}

async fn tables(stage: &Stage, left: &mut Vec<String>) -> Result<usize, Mismatch> {
    let client = &stage.operator.dynamodb;
    let mut removals = Removals { removed: 0, left };
    let mut names = client.list_tables().into_paginator().items().send();
    let mut ours = Vec::new();
    while let Some(name) = names.try_next().await? {
        ours.extend(Some(name).filter(|name| name.starts_with(&stage.run)));
    }
    for name in ours {
        removals.note(&format!("table {name}"), client.delete_table().table_name(&name).send().await);
    }
    Ok(removals.removed)
}

async fn queues(stage: &Stage, left: &mut Vec<String>) -> Result<usize, Mismatch> {
    let client = &stage.operator.sqs;
    let mut removals = Removals { removed: 0, left };
    let mut urls =
        client.list_queues().queue_name_prefix(&stage.run).max_results(1_000).into_paginator().items().send();
    let mut ours = Vec::new();
    while let Some(url) = urls.try_next().await? {
        ours.push(url);
    }
    for url in ours {
        removals.note(&format!("queue {url}"), client.delete_queue().queue_url(&url).send().await);
    }
    Ok(removals.removed)
}

async fn buckets(stage: &Stage, left: &mut Vec<String>) -> Result<usize, Mismatch> {
    let client = &stage.operator.s3;
    let mut removals = Removals { removed: 0, left };
    let listed = client.list_buckets().send().await?.buckets.unwrap_or_default();
    for bucket in listed.into_iter().filter_map(|bucket| bucket.name).filter(|name| name.starts_with(&stage.run)) {
        let emptied = empty(stage, &bucket).await;
        if let Err(Mismatch(error)) = emptied {
            removals.left.push(format!("versions in bucket {bucket}: {error}"));
        }
        removals.note(&format!("bucket {bucket}"), client.delete_bucket().bucket(&bucket).send().await);
    }
    Ok(removals.removed)
}

/// Deletes every version and every delete marker in a bucket.
async fn empty(stage: &Stage, bucket: &str) -> Result<(), Mismatch> {
    let client = &stage.operator.s3;
    loop {
        // Each round deletes everything that it lists, so the remaining versions are again on the first page.
        let page = client.list_object_versions().bucket(bucket).send().await?;
        let versions = page.versions().iter().map(|it| (it.key(), it.version_id()));
        let markers = page.delete_markers().iter().map(|it| (it.key(), it.version_id()));
        let all: Vec<_> = versions.chain(markers).collect();
        if all.is_empty() {
            return Ok(());
        }
        for (key, version) in all {
            let request = client.delete_object().bucket(bucket).set_key(key.map(str::to_owned));
            request.set_version_id(version.map(str::to_owned)).send().await?;
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogGroups {
    log_groups: Vec<LogGroup>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogGroup {
    log_group_name: String,
}

async fn log_groups(stage: &Stage, left: &mut Vec<String>) -> Result<usize, Mismatch> {
    let client = &stage.operator.logs;
    let mut removals = Removals { removed: 0, left };
    let mut ours = Vec::new();
    let mut request = json!({ "logGroupNamePrefix": format!("/{}", stage.run) });
    loop {
        let page: LogGroups = client.call("DescribeLogGroups", &request).await?;
        ours.extend(page.log_groups);
        let Some(token) = page.next_token else { break };
        request["nextToken"] = token.into();
    }
    for LogGroup { log_group_name } in ours {
        let deleted: Result<Value, _> = client.call("DeleteLogGroup", &json!({ "logGroupName": log_group_name })).await;
        removals.note(&format!("log group {log_group_name}"), deleted);
    }
    Ok(removals.removed)
}
