//! Looking for an event wherever it may be.

use std::collections::BTreeMap;

use anyhow::Context as _;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::MessageSystemAttributeName;
use chrono::{DateTime, Utc};
use claim::key::SORT_KEY;
use claim::{Claim, Event, EventIdPointer, ObjectPrefix, object};
use ops::logs::{FilterLogEvents, LogsClient};

use super::story::{ArchiveLine, DeadLetter, ObjectStory, rfc3339};
use crate::pipeline_client::PipelineClient;
use crate::read_back;

/// Pages of a log search at the most. CloudWatch answers five a second, many of them empty.
const MOST_PAGES: usize = 500;

/// A dead-letter queue with more messages is not searched to its end.
const MOST_DEAD_LETTERS: usize = 1_000;

/// A dead letter that was looked at is hidden from others for so long, in seconds.
const DEAD_LETTER_HIDDEN_SECONDS: i32 = 20;

/// Reads what there is, and notes what cannot be read.
pub(super) struct Look<'a> {
    pub(super) client: &'a PipelineClient,
    pub(super) event_id: &'a str,
    pub(super) unreadable: BTreeMap<&'static str, String>,
}

impl Look<'_> {
    fn record<T>(&mut self, source: &'static str, read: anyhow::Result<T>) -> Option<T> {
        read.inspect_err(|error| drop(self.unreadable.insert(source, format!("{error:#}")))).ok()
    }

    fn record_unknown(&mut self, source: &'static str, flag: &str) {
        self.unreadable.insert(source, format!("no {flag}, and no Terraform outputs of this queue's stack"));
    }

    /// `Err` is an item that is no claim.
    pub(super) async fn claim(&mut self) -> Option<Result<Claim, String>> {
        let Some(table) = &self.client.stack.table else {
            self.record_unknown("table", "--table");
            return None;
        };
        let pk = AttributeValue::S(Claim::partition_key(self.event_id));
        let request = self.client.dynamodb.get_item().table_name(table).key("pk", pk);
        let request = request.key("sk", AttributeValue::S(SORT_KEY.to_owned())).consistent_read(true);
        let answer = request.send().await.with_context(|| format!("the table {table} cannot be read"));
        let item = self.record("table", answer)?.item?;
        Some(Claim::from_item(item).map_err(|error| format!("{:#}", anyhow::Error::new(error))))
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
        let read = search(&self.client.logs, group, &pattern(self.event_id), since).await;
        match self.record(source, read) {
            Some((lines, true)) => lines,
            Some((lines, false)) => {
                let why =
                    format!("not searched to its end within {MOST_PAGES} pages: a later --since makes it shorter");
                self.unreadable.insert(source, why);
                lines
            }
            None => Vec::new(),
        }
    }

    /// Under the claim's key, or, if the claim is gone, under one that the log names.
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
        let named = || {
            let is_object = |line: &&ArchiveLine| ["written", "already_there"].contains(&line.outcome.as_str());
            archive.iter().rfind(is_object).and_then(|line| line.key.clone())
        };
        let key = claim.map(|claim| prefix.object_key(claim)).or_else(named)?;
        let read = read_back::read_object(client, bucket, &key).await;
        let (versions, content) = self.record("bucket", read)??;
        let as_claimed = claim.map(|claim| object::object_line(claim).is_ok_and(|line| line == content));
        Some(ObjectStory { key, versions, bytes: content.len(), as_claimed })
    }

    pub(super) async fn depth(&mut self, source: &'static str, url: Option<&str>) -> Option<u64> {
        let Some(url) = url else {
            self.record_unknown(source, "--on-failure-url");
            return None;
        };
        let depth = read_back::depth(self.client, url).await;
        self.record(source, depth)
    }

    pub(super) async fn dead_letters(&mut self, pointer: &EventIdPointer) -> Vec<DeadLetter> {
        let Some(url) = self.client.dlq_url.clone() else {
            self.record_unknown("dead-letter queue", "--dlq-url, no redrive policy");
            return Vec::new();
        };
        let mut found = Vec::new();
        let searched = self.search_dead_letters(&url, pointer, &mut found).await;
        self.record("dead-letter queue", searched);
        found
    }

    async fn search_dead_letters(
        &self,
        url: &str,
        pointer: &EventIdPointer,
        found: &mut Vec<DeadLetter>,
    ) -> anyhow::Result<()> {
        let quoted = serde_json::Value::from(self.event_id).to_string();
        for _ in 0..MOST_DEAD_LETTERS / 10 {
            let request = self.client.sqs.receive_message().queue_url(url).max_number_of_messages(10);
            let request = request.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
            let answer = request.visibility_timeout(DEAD_LETTER_HIDDEN_SECONDS).wait_time_seconds(0).send().await;
            let messages = answer.with_context(|| format!("the dead-letter queue {url} cannot be read"))?.messages;
            let messages = messages.unwrap_or_default();
            if messages.is_empty() {
                return Ok(());
            }
            for message in messages {
                let body = message.body.as_deref().unwrap_or_default();
                let is_event = Event::parse(body, pointer).is_ok_and(|event| event.id == self.event_id);
                if !is_event && !body.contains(&quoted) {
                    continue;
                }
                let sent = message.attributes.as_ref().and_then(|attributes| {
                    let milliseconds = attributes.get(&MessageSystemAttributeName::SentTimestamp)?.parse().ok()?;
                    DateTime::from_timestamp_millis(milliseconds)
                });
                let message_id = message.message_id.unwrap_or_default();
                found.push(DeadLetter { message_id, sent_at: sent.map(rfc3339), is_event });
            }
        }
        anyhow::bail!("{url} holds more than {MOST_DEAD_LETTERS} messages, and was not searched to its end")
    }
}

/// A log group's lines that match, and whether the search came to the group's end.
async fn search(
    client: &LogsClient,
    group: &str,
    pattern: &str,
    since: DateTime<Utc>,
) -> anyhow::Result<(Vec<String>, bool)> {
    let (mut lines, mut token) = (Vec::new(), None::<String>);
    for _ in 0..MOST_PAGES {
        let search = FilterLogEvents {
            log_group_name: group,
            filter_pattern: Some(pattern),
            start_time: Some(since.timestamp_millis()),
            next_token: token.as_deref(),
            ..FilterLogEvents::default()
        };
        let page = client.filter_log_events(&search).await;
        let page = page.with_context(|| format!("the log group {group} cannot be read"))?;
        lines.extend(page.events.into_iter().filter_map(|event| event.message));
        token = page.next_token;
        if token.is_none() {
            return Ok((lines, true));
        }
    }
    Ok((lines, false))
}

/// A CloudWatch Logs filter pattern for the lines of an event. How a pattern escapes quotes and the like is not documented well
/// enough to rely on, `*` stands for anything in it, and it has at most 1,024 characters. So an id is asked for up to its first
/// doubtful character, and what else that finds is sorted out afterwards.
fn pattern(event_id: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || " -_.:/@#=+,;".contains(c);
    let doubtful = |(at, c): (usize, char)| (!is_safe(c) || at >= 900).then_some(at);
    let (text, rest) = match event_id.char_indices().find_map(doubtful) {
        Some(at) => (&event_id[..at], "*"),
        None => (event_id, ""),
    };
    format!(r#"{{ $.event_id = "{text}{rest}" }}"#)
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn a_pattern_holds_no_character_that_it_would_have_to_escape() {
        for (event_id, expected) in [
            ("grid_stress_999", r#"{ $.event_id = "grid_stress_999" }"#),
            (r#"a"b"#, r#"{ $.event_id = "a*" }"#),
            ("a*b", r#"{ $.event_id = "a*" }"#),
            ("é", r#"{ $.event_id = "*" }"#),
            (r"a\", r#"{ $.event_id = "a*" }"#),
        ] {
            assert_eq!(pattern(event_id), expected);
        }
        assert!(pattern(&"x".repeat(2_000)).len() < 1_024);
    }
}
