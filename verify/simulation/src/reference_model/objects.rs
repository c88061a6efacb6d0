//! Rules about the table and the lake at the end: each claim has its object, and there is nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::model::Model;
use crate::final_state::FinalState;
use crate::history::StoredClaim;
use crate::judgement::Rule;
use crate::workload::Meaning;

/// The deployed prefix.
const PREFIX: &str = "events/";

/// What the lake must hold.
#[derive(Default)]
struct ExpectedObjects {
    /// By key: the claim's id or the record's partition key, and the content if it is a claim's.
    objects: BTreeMap<String, (String, Option<String>)>,
    /// The records of claims on which `archive-fn` panicked: each may be quarantined instead, or as well.
    instead: BTreeMap<String, String>,
}

impl Model<'_> {
    /// The table holds the claims that it took, and what was put by hand.
    pub(super) fn check_table(&mut self, final_state: &FinalState) {
        let expected: BTreeMap<&str, Option<&str>> =
            self.table.iter().map(|(pk, claim)| (*pk, claim.map(|claim| claim.claim_id.as_str()))).collect();
        let pks: BTreeSet<&str> =
            expected.keys().copied().chain(final_state.table.keys().map(String::as_str)).collect();
        for pk in pks {
            let is_right = match (expected.get(pk), final_state.table.get(pk)) {
                (Some(None), Some(_)) => true,
                (Some(Some(claim_id)), Some(found)) => claim_id == found,
                _ => false,
            };
            if !is_right {
                let expected = expected.get(pk);
                let found = final_state.table.get(pk);
                self.judgement
                    .violated(Rule::Table, format!("the table has {found:?} for {pk}, and should have {expected:?}"));
            }
        }
    }

    /// Each claim, and each record that can never be archived, has one object with one version and the right content, or was
    /// discarded; and there is nothing else.
    pub(super) fn check_objects(&mut self, final_state: &FinalState) {
        let expected = self.expected_objects(final_state);
        self.check_found(&expected, final_state);
        self.check_discarded(final_state);
        self.check_missing(&expected, final_state);
    }

    fn expected_objects(&self, final_state: &FinalState) -> ExpectedObjects {
        let mut expected = ExpectedObjects::default();
        for (claim_id, (_, claim)) in &self.claims {
            let StoredClaim { claimed_at, message_id, .. } = claim;
            let Some(Meaning::Event { id, line, .. }) = self.taken.get(message_id.as_str()).map(|taken| taken.meaning)
            else {
                continue;
            };
            let id = serde_json::Value::from(id.as_str());
            let content = format!(
                "{{\"event_id\":{id},\"claim_id\":\"{claim_id}\",\"claimed_at\":\"{claimed_at}\",\"message_id\":\"{message_id}\",\"event\":{line}}}\n"
            );
            let day = &claimed_at[..10];
            let hour = &claimed_at[11..13];
            let key = format!("{PREFIX}dt={day}/hour={hour}/{claim_id}.json");
            if self.panicked.contains(claim_id) {
                let numbers = final_state.sequence_numbers.get(*claim_id).into_iter().flatten();
                expected.instead.extend(numbers.map(|number| (quarantine_key(number), (*claim_id).to_owned())));
            }
            expected.objects.insert(key, ((*claim_id).to_owned(), Some(content)));
        }
        for (pk, _) in final_state.by_hand.iter().filter(|(_, is_quarantined)| **is_quarantined) {
            for number in final_state.sequence_numbers.get(pk).into_iter().flatten() {
                expected.objects.insert(quarantine_key(number), (pk.clone(), None));
            }
        }
        expected
    }

    /// Each object is expected, with this content and in one version.
    fn check_found(&mut self, expected: &ExpectedObjects, final_state: &FinalState) {
        for (key, versions) in &final_state.objects {
            let (content, end) = match expected.objects.get(key) {
                Some((_, Some(content))) => (Some(content), "objects"),
                Some((_, None)) => (None, "records quarantined"),
                None if expected.instead.contains_key(key) => (None, "claims quarantined after a panic"),
                None => {
                    self.judgement.violated(Rule::Object, format!("{key} is nobody's object"));
                    continue;
                }
            };
            self.judgement.ended(end);
            if versions.len() != 1 {
                self.judgement.violated(Rule::Object, format!("{key} has {} versions", versions.len()));
            }
            if content.is_some_and(|content| versions.iter().any(|version| version != content.as_bytes())) {
                self.judgement.violated(Rule::Object, format!("{key} does not hold what its claim says"));
            }
        }
    }

    /// The on-failure queue names records, and nothing else.
    fn check_discarded(&mut self, final_state: &FinalState) {
        let numbers: BTreeSet<&String> = final_state.sequence_numbers.values().flatten().collect();
        for (first, last) in &final_state.discarded {
            if !numbers.contains(first) || !numbers.contains(last) {
                self.judgement.violated(
                    Rule::Object,
                    format!("the on-failure queue names {first} to {last}, which are no records"),
                );
            }
        }
    }

    /// What has no object is named in the on-failure queue.
    fn check_missing(&mut self, expected: &ExpectedObjects, final_state: &FinalState) {
        let has_object = |key: &str| final_state.objects.contains_key(key);
        let quarantined: BTreeSet<&str> =
            expected.instead.iter().filter(|(key, _)| has_object(key)).map(|(_, name)| name.as_str()).collect();
        for (key, (name, _)) in expected.objects.iter().filter(|(key, _)| !has_object(key)) {
            if quarantined.contains(name.as_str()) {
                continue;
            }
            if !is_discarded(name, final_state) {
                self.judgement.violated(
                    Rule::Object,
                    format!("{name} has no object {key}, and the on-failure queue does not name it"),
                );
            } else if !self.scenario.discards_records() {
                self.judgement
                    .violated(Rule::Object, format!("{name} was discarded, though nothing kept it for so long"));
            } else {
                self.judgement.ended("records discarded");
            }
        }
    }
}

fn is_discarded(name: &str, final_state: &FinalState) -> bool {
    let mut numbers = final_state.sequence_numbers.get(name).into_iter().flatten();
    numbers.any(|number| final_state.discarded.iter().any(|(first, last)| first <= number && number <= last))
}

fn quarantine_key(sequence_number: &str) -> String {
    format!("{PREFIX}_unusable/{sequence_number}.json")
}
