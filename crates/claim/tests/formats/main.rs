//! Tests of the formats that the two functions share.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conflict_ignore;
mod dedup_key;
mod differences;
mod event;
mod golden;
mod json;
mod pack;
mod record;
mod trace_id;

use std::time::{Duration, SystemTime};

use claim::{BodyTooLarge, Claim, ConflictIgnore, DedupKey, EventRules, SourceMessage};
use sha2::{Digest as _, Sha256};

const MESSAGE_ID: &str = "059f36b4-87a3-44ab-83d2-661975830a7d";
const XRAY: &str = "1-5759e988-bd862e3fe1be46a994272793";
const W3C: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Parses both settings. Returns the rules, or the text of the error.
fn parse_rules(key: &str, ignore: &str) -> Result<EventRules, String> {
    let key = DedupKey::parse(key).map_err(|error| error.to_string())?;
    let ignore = ConflictIgnore::parse(ignore, &key).map_err(|error| error.to_string())?;
    Ok(EventRules::new(key, ignore))
}

fn rules(key: &str, ignore: &str) -> EventRules {
    parse_rules(key, ignore).unwrap()
}

/// Returns the event id in a body, or the text of the error.
fn event_id(rules: &EventRules, body: &str) -> Result<String, String> {
    rules.event(body, None).map(|event| event.id).map_err(|error| error.to_string())
}

/// Claims the event of a message for 16 days.
fn claim_message(rules: &EventRules, message: &SourceMessage<'_>) -> Result<Claim, BodyTooLarge> {
    let event = rules.event(message.body, None).unwrap();
    // 2026-11-23T23:59:59.999Z
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_478_399_999);
    Claim::new(&event, message, now, Duration::from_secs(1_382_400), &[7; 10])
}

fn sha256(text: &str) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
