//! Searches for one event in the table, logs, lake and dead-letter queue.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use chrono::{DateTime, Utc};
use claim::key::{SORT_KEY, is_claim_sort_key};
use claim::{Claim, EventRules, MessageAttribute, ObjectPrefix, object};
use ops::command_line::error_line;
use ops::logs::{FilterLogEvents, LogsClient};

use super::mention::mentions_event;
use super::story::{ArchiveLine, DeadLetter, ObjectStory, rfc3339};
use crate::dead_letters::{DeadLetterSearch, MAX_ROUNDS};
use crate::lake::packs::{self, is_pack};
use crate::lake::{self, StoredObject};
use crate::pipeline_client::PipelineClient;
use crate::place::Place;
use crate::read_back;

/// Maximum number of pages of one log search. Reading that many pages takes at least 100 s, because CloudWatch Logs
/// serves five pages per second. Many of them are empty.
const MAX_PAGES: usize = 500;

/// Searches each source for one event, and records the sources that cannot be read.
pub(super) struct EventSearch<'a> {
    pub(super) client: &'a PipelineClient,
    pub(super) event_id: &'a str,
    /// The sources that could not be read, each with the error.
    pub(super) unreadable: BTreeMap<&'static str, String>,
}

/// An item of the table that has the sort key of a claim.
pub(super) struct ClaimItem {
    pub(super) sort_key: String,
    /// The claim, or the reason why the item is not a valid claim.
    pub(super) claim: Result<Claim, String>,
}

impl ClaimItem {
    fn new(item: HashMap<String, AttributeValue>) -> Option<Self> {
        let sort_key = item.get("sk")?.as_s().ok().filter(|sort_key| is_claim_sort_key(sort_key))?.clone();
        Some(Self { sort_key, claim: Claim::from_item(item).map_err(|error| error_line(&error)) })
    }
}

impl EventSearch<'_> {
    fn record<T>(&mut self, source: &'static str, read: anyhow::Result<T>) -> Option<T> {
        read.inspect_err(|error| drop(self.unreadable.insert(source, error_line(error.as_ref())))).ok()
    }

    fn record_unknown(&mut self, source: &'static str, flag: &str) {
        self.unreadable
            .insert(source, format!("its name is unknown: no {flag}, and no Terraform outputs for this queue"));
    }

    /// Reads the items of the event's claims: one for each dedup key under which an event with this id was claimed.
    pub(super) async fn claims(&mut self) -> Vec<ClaimItem> {
        let Some(table) = &self.client.stack.table else {
            self.record_unknown("table", "--table");
            return Vec::new();
        };
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let request = self.client.dynamodb.query().table_name(table).consistent_read(true);
        let request = request.key_condition_expression("pk = :pk AND begins_with(sk, :sk)");
        let request = request.expression_attribute_values(":pk", text(&Claim::partition_key(self.event_id)));
        let request = request.expression_attribute_values(":sk", text(SORT_KEY));
        let read: Result<Vec<_>, _> = request.into_paginator().items().send().collect().await;
        let items = self.record("table", read.with_context(|| format!("failed to read the table {table}")));
        items.into_iter().flatten().filter_map(ClaimItem::new).collect()
    }

    pub(super) async fn log_lines(
        &mut self,
        source: &'static str,
        group: Option<&str>,
        since: DateTime<Utc>,
    ) -> Vec<String> {
        let Some(group) = group else {
            self.record_unknown(
                source,
                if source == "ingest log" { "--ingest-log-group" } else { "--archive-log-group" },
            );
            return Vec::new();
        };
        let read = search_log_group(&self.client.logs, group, &filter_pattern(self.event_id), since).await;
        match self.record(source, read) {
            Some((lines, true)) => lines,
            Some((lines, false)) => {
                let why = format!("the search did not reach the end within {MAX_PAGES} pages: give a later --since");
                self.unreadable.insert(source, why);
                lines
            }
            None => Vec::new(),
        }
    }

    /// Reads the object that contains the claim's line. If `claim` is `None`, reads the object under the key in the last line in
    /// which `archive-fn` logged an archived object.
    pub(super) async fn object(
        &mut self,
        claim: Option<&Claim>,
        archive: &[ArchiveLine],
        prefix: &ObjectPrefix,
    ) -> Option<ObjectStory> {
        let client = self.client;
        let Some(bucket) = &client.stack.bucket else {
            self.record_unknown("bucket", "--bucket");
            return None;
        };
        let (keys, claim_id) = if let Some(claim) = claim {
            (
                Place::of_claim(claim.claim_id, claim.layout).map(|place| place.key(prefix)).collect(),
                Some(claim.claim_id),
            )
        } else {
            let is_object = |line: &&ArchiveLine| ["written", "already_there"].contains(&line.outcome.as_str());
            let last = archive.iter().rfind(is_object)?;
            (Vec::from_iter(last.key.clone()), last.claim_id.as_ref().and_then(|id| id.parse().ok()))
        };
        for key in keys {
            let read = lake::read_object(client, bucket, &key).await;
            let Some(stored) = self.record("bucket", read)? else { continue };
            let StoredObject { content, trace_id, versions, deleted_versions } = stored;
            let bytes = content.len();
            let (line, content) = if is_pack(&key) {
                let mut lines = packs::lines(&key, &content).into_iter().enumerate();
                let found = lines.find(|(_, line)| claim_id.is_some() && packs::claim_id(line) == claim_id);
                let Some((index, content)) = found else { continue };
                (Some(index + 1), content)
            } else {
                (None, content)
            };
            let as_claimed = claim.map(|claim| object::object_line(claim).is_ok_and(|line| line == content));
            return Some(ObjectStory { key, line, versions, deleted_versions, bytes, trace_id, as_claimed });
        }
        None
    }

    pub(super) async fn depth(&mut self, source: &'static str, url: Option<&str>) -> Option<u64> {
        let Some(url) = url else {
            self.record_unknown(source, "--on-failure-url");
            return None;
        };
        let depth = read_back::depth(self.client, url).await;
        self.record(source, depth)
    }

    pub(super) async fn dead_letters(&mut self, rules: &EventRules) -> Vec<DeadLetter> {
        let Some(url) = self.client.dlq_url.clone() else {
            self.record_unknown("dead-letter queue", "--dlq-url, no redrive policy");
            return Vec::new();
        };
        let mut found = Vec::new();
        let searched = self.search_dead_letters(&url, rules, &mut found).await;
        self.record("dead-letter queue", searched);
        found
    }

    /// Receives the messages of the dead-letter queue, and adds to `found` those that
    /// [`dead_letter`](Self::dead_letter) accepts.
    async fn search_dead_letters(
        &self,
        url: &str,
        rules: &EventRules,
        found: &mut Vec<DeadLetter>,
    ) -> anyhow::Result<()> {
        let take = |messages: Vec<Message>| {
            found.extend(messages.into_iter().filter_map(|message| self.dead_letter(message, rules)));
            // A message that only contains the id may belong to another event, so the search continues.
            found.iter().any(|letter| letter.is_event)
        };
        DeadLetterSearch::new(self.client, url, rules.dedup_key().attribute()).run(MAX_ROUNDS, take).await
    }

    /// Returns the message as a dead letter of the event. Returns `None` if the message is a valid event with another
    /// id, or if it does not contain the event's id.
    fn dead_letter(&self, message: Message, rules: &EventRules) -> Option<DeadLetter> {
        let body = message.body.as_deref().unwrap_or_default();
        let attributes = message.message_attributes.as_ref();
        let attribute = rules.dedup_key().attribute().and_then(|name| attributes?.get(name));
        let attribute = attribute.map(|attribute| MessageAttribute {
            data_type: attribute.data_type(),
            string_value: attribute.string_value(),
        });
        let is_event = match rules.event(body, attribute) {
            Ok(event) if event.id == self.event_id => true,
            // The content of another event may contain the id, for example as a number.
            Ok(_) => return None,
            Err(_) if attribute.and_then(|attribute| attribute.string_value) == Some(self.event_id) => false,
            Err(_) if mentions_event(body, self.event_id, rules.dedup_key()) => false,
            Err(_) => return None,
        };
        let sent_at = message.attributes.as_ref().and_then(|attributes| {
            let milliseconds = attributes.get(&MessageSystemAttributeName::SentTimestamp)?.parse().ok()?;
            DateTime::from_timestamp_millis(milliseconds)
        });
        Some(DeadLetter { message_id: message.message_id.unwrap_or_default(), sent_at: sent_at.map(rfc3339), is_event })
    }
}

/// Returns the lines of a log group that match `pattern`, and a flag, which is true if the search reached the end of
/// the group.
async fn search_log_group(
    client: &LogsClient,
    group: &str,
    pattern: &str,
    since: DateTime<Utc>,
) -> anyhow::Result<(Vec<String>, bool)> {
    let mut lines = Vec::new();
    let mut token = None::<String>;
    for _ in 0..MAX_PAGES {
        let search = FilterLogEvents {
            log_group_name: group,
            filter_pattern: Some(pattern),
            start_time: Some(since.timestamp_millis()),
            next_token: token.as_deref(),
            ..FilterLogEvents::default()
        };
        let page = client.filter_log_events(&search).await;
        let page = page.with_context(|| format!("failed to read the log group {group}"))?;
        lines.extend(page.events.into_iter().filter_map(|event| event.message));
        token = page.next_token;
        if token.is_none() {
            return Ok((lines, true));
        }
    }
    Ok((lines, false))
}

/// Returns a CloudWatch Logs filter pattern that matches the lines of an event, and possibly lines of other events.
///
/// The documentation of patterns does not say clearly how to escape quotes. Also, `*` is a wildcard, and a pattern has
/// at most 1,024 characters. So the pattern contains only the start of the id: it stops at the first character that may
/// need an escape, and after 900 bytes. The caller filters out the other events.
fn filter_pattern(event_id: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || " -_.:/@#=+,;".contains(c);
    let unsafe_index = |(index, c): (usize, char)| (!is_safe(c) || index >= 900).then_some(index);
    let (text, rest) = match event_id.char_indices().find_map(unsafe_index) {
        Some(index) => (&event_id[..index], "*"),
        None => (event_id, ""),
    };
    format!(r#"{{ $.event_id = "{text}{rest}" }}"#)
}

#[cfg(test)]
mod tests {
    use super::filter_pattern;

    #[test]
    fn pattern_stops_at_unsafe_character() {
        for (event_id, expected) in [
            ("grid_stress_999", r#"{ $.event_id = "grid_stress_999" }"#),
            (r#"a"b"#, r#"{ $.event_id = "a*" }"#),
            ("a*b", r#"{ $.event_id = "a*" }"#),
            ("é", r#"{ $.event_id = "*" }"#),
            (r"a\", r#"{ $.event_id = "a*" }"#),
        ] {
            assert_eq!(filter_pattern(event_id), expected);
        }
        assert!(filter_pattern(&"x".repeat(2_000)).len() < 1_024);
    }
}
