//! Rules about the final contents of the table and the bucket. Both must contain everything that the history requires, and
//! only what the history allows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use super::claims::id_time;
use super::model::Model;
use crate::final_state::FinalState;
use crate::history::StoredClaim;
use crate::judgment::Rule;
use crate::requests::name_of_key;
use crate::workload::Meaning;

/// The prefix of all object keys, which is the default of `OBJECT_PREFIX`.
const PREFIX: &str = "events/";

/// Age that a record must exceed before `archive-fn` may quarantine it because of a panic.
const HOUR_MS: u64 = 60 * 60 * 1_000;

/// The objects that the bucket must contain, and those that it may contain.
#[derive(Default)]
struct ExpectedObjects {
    objects: BTreeMap<String, ExpectedObject>,
    /// Quarantined records that the bucket may contain, because a claim's record was old and `archive-fn` panicked on
    /// it twice. The key is the object key of the quarantined record, and the value is the claim id. Such a claim has
    /// its object, a quarantined record, or both. After any other panic, the claim must have its object.
    quarantined_after_panic: BTreeMap<String, String>,
}

struct ExpectedObject {
    /// Id of the claim or the pack, or partition key of the poison record, that must become this object.
    name: String,
    /// `None` for a quarantined record, whose content is not checked.
    content: Option<String>,
}

impl<'a> Model<'a> {
    /// Notes that `archive-fn` panicked when it wrote the object with the key `subject`.
    ///
    /// The claim's record may be quarantined if it is over an hour old and the same invocation has panicked on it
    /// twice. `archive-fn` measures the age by the sandbox's clock, and the stream rounds the record's time down to a
    /// second. The model allows for both.
    pub(super) fn note_panic(&mut self, at_ms: u64, invocation: u64, subject: &'a str) {
        let claim_id = name_of_key(subject);
        let Some(stored_ms) = self.stored_ms.get(claim_id) else { return };
        let panics = self.panics.entry((invocation, claim_id)).or_default();
        *panics += 1;
        if *panics > 1 && at_ms + self.scenario.skew_ms + 1_000 > stored_ms + HOUR_MS {
            self.may_be_quarantined.insert(claim_id);
        }
    }

    /// Checks that the table contains the last item that was stored under each key, unless TTL deleted that item, and
    /// nothing else.
    pub(super) fn check_table(&mut self, final_state: &FinalState) {
        let expected: BTreeMap<&str, Option<&str>> =
            self.table.iter().map(|(pk, claim)| (*pk, claim.map(|claim| claim.claim_id.as_str()))).collect();
        let pks: BTreeSet<&str> =
            expected.keys().copied().chain(final_state.table.keys().map(String::as_str)).collect();
        for pk in pks {
            let is_correct = match (expected.get(pk), final_state.table.get(pk)) {
                (Some(None), Some(_)) => true,
                (Some(Some(claim_id)), Some(found)) => claim_id == found,
                _ => false,
            };
            if !is_correct {
                let expected = expected.get(pk);
                let found = final_state.table.get(pk);
                self.judgment.add_violation(
                    Rule::Table,
                    format!("the table holds {found:?} for {pk}, but should hold {expected:?}"),
                );
            }
        }
        let expected: BTreeSet<&str> = self.packs_in_table.clone();
        let found: BTreeSet<&str> = final_state.packs.iter().map(String::as_str).collect();
        for pack_id in expected.symmetric_difference(&found) {
            let text = format!("pack {pack_id} is missing in the table, or should have been deleted");
            self.judgment.add_violation(Rule::Table, text);
        }
    }

    /// Checks that every claim has one object in one version with the right content, that every poison record that
    /// looks like a claim is quarantined, and that there are no other objects. An object may be missing if its record
    /// was discarded, left the stream, or was quarantined after a panic.
    pub(super) fn check_objects(&mut self, final_state: &FinalState) {
        let expected = self.expected_objects(final_state);
        self.check_found(&expected, final_state);
        self.check_discarded(final_state);
        self.check_missing(&expected, final_state);
    }

    fn expected_objects(&self, final_state: &FinalState) -> ExpectedObjects {
        let mut expected = ExpectedObjects::default();
        let single = self.claims.values().filter(|claim| claim.pack_id.is_empty());
        let single = single.filter_map(|claim| Some((claim.claim_id.as_str(), "json", self.line(claim)?)));
        let packs = self.packs.values().map(|pack| {
            let claims = pack.claim_ids.iter().filter_map(|claim_id| self.claims.get(claim_id.as_str()));
            (pack.pack_id.as_str(), "json.gz", claims.filter_map(|claim| self.line(claim)).collect())
        });
        for (name, extension, content) in single.chain(packs) {
            let id_time = id_time(name);
            let day = &id_time[..10];
            let hour = &id_time[11..13];
            let key = format!("{PREFIX}dt={day}/hour={hour}/{name}.{extension}");
            if self.may_be_quarantined.contains(name) {
                let numbers = final_state.sequence_numbers.get(name).into_iter().flatten();
                let keys = numbers.map(|number| (quarantine_key(number), name.to_owned()));
                expected.quarantined_after_panic.extend(keys);
            }
            let object = ExpectedObject { name: name.to_owned(), content: Some(content) };
            expected.objects.insert(key, object);
        }
        for (pk, _) in final_state.put_by_hand.iter().filter(|(_, is_quarantined)| **is_quarantined) {
            for number in final_state.sequence_numbers.get(pk).into_iter().flatten() {
                let object = ExpectedObject { name: pk.clone(), content: None };
                expected.objects.insert(quarantine_key(number), object);
            }
        }
        expected
    }

    /// Returns the line of a claim; `None` if its message is not an event.
    fn line(&self, claim: &StoredClaim) -> Option<String> {
        let StoredClaim { claim_id, claimed_at, message_id, .. } = claim;
        let Meaning::Event { id, line, .. } = self.accepted.get(message_id.as_str())?.meaning else { return None };
        let id = serde_json::Value::from(id.as_str());
        Some(format!(
            "{{\"event_id\":{id},\"claim_id\":\"{claim_id}\",\"claimed_at\":\"{claimed_at}\",\"message_id\":\"{message_id}\",\"event\":{line}}}\n"
        ))
    }

    /// Checks that every object in the bucket is expected, and that it has one version with the expected content.
    fn check_found(&mut self, expected: &ExpectedObjects, final_state: &FinalState) {
        for (key, versions) in &final_state.objects {
            let (content, result) = match expected.objects.get(key) {
                Some(ExpectedObject { content: Some(content), .. }) => (Some(content), "objects"),
                Some(ExpectedObject { content: None, .. }) => (None, "records quarantined"),
                None if expected.quarantined_after_panic.contains_key(key) => {
                    (None, "claims quarantined after a panic")
                }
                None => {
                    self.judgment
                        .add_violation(Rule::Object, format!("object {key} belongs to no claim or poison record"));
                    continue;
                }
            };
            self.judgment.count_result(result);
            if versions.len() != 1 {
                self.judgment.add_violation(Rule::Object, format!("object {key} has {} versions", versions.len()));
            }
            let text = |version: &[u8]| if key.ends_with(".gz") { gunzip(version) } else { version.to_vec() };
            if content.is_some_and(|content| versions.iter().any(|version| text(version) != content.as_bytes())) {
                self.judgment
                    .add_violation(Rule::Object, format!("object {key} does not have the content of its claim"));
            }
        }
    }

    /// Checks the first and the last record of each range in the on-failure queue: the stream must have contained both.
    fn check_discarded(&mut self, final_state: &FinalState) {
        let numbers: BTreeSet<&String> = final_state.sequence_numbers.values().flatten().collect();
        for (first, last) in &final_state.discarded {
            if !numbers.contains(first) || !numbers.contains(last) {
                self.judgment.add_violation(
                    Rule::Object,
                    format!("the on-failure queue names records {first} to {last}, which are not in the stream"),
                );
            }
        }
    }

    /// Checks each expected object that is missing. Its record must have been quarantined after a panic, or have left
    /// the stream while the stream mapping was disabled, or be named in the on-failure queue. In the last case, an
    /// outage or a disabled mapping must explain why the record was discarded.
    fn check_missing(&mut self, expected: &ExpectedObjects, final_state: &FinalState) {
        let has_object = |key: &str| final_state.objects.contains_key(key);
        let quarantined: BTreeSet<&str> = expected
            .quarantined_after_panic
            .iter()
            .filter(|(key, _)| has_object(key))
            .map(|(_, id)| id.as_str())
            .collect();
        for (key, ExpectedObject { name, .. }) in expected.objects.iter().filter(|(key, _)| !has_object(key)) {
            if quarantined.contains(name.as_str()) {
                continue;
            }
            if self.has_left_stream(name) && !is_discarded(name, final_state) {
                self.judgment.count_result("records expired in the stream");
            } else if !is_discarded(name, final_state) {
                self.judgment.add_violation(
                    Rule::Object,
                    format!("{name} has no object {key}, and the on-failure queue does not name its record"),
                );
            } else if !self.scenario.discards_records() && !self.may_exceed_record_age(name) {
                self.judgment.add_violation(
                    Rule::Object,
                    format!("{name} was discarded, although neither an outage nor a disabled mapping exceeded the record age"),
                );
            } else {
                self.judgment.count_result("records discarded");
            }
        }
    }
}

fn is_discarded(name: &str, final_state: &FinalState) -> bool {
    let mut numbers = final_state.sequence_numbers.get(name).into_iter().flatten();
    numbers.any(|number| final_state.discarded.iter().any(|(first, last)| first <= number && number <= last))
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    // A broken object differs from the expected content.
    let _ = flate2::read::GzDecoder::new(bytes).read_to_end(&mut text);
    text
}

fn quarantine_key(sequence_number: &str) -> String {
    format!("{PREFIX}_unusable/{sequence_number}.json")
}
