//! What may come out of a world: small, and computed from what was sent and from what the services say that they did, never
//! from what the handlers say or from how they do it. Times are judged to the second, and clocks to their skew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use claim::record::KEY_PREFIX;
use ingest_fn::ClaimWrites;
use lambda_support::logs::rfc3339;
use sha2::{Digest as _, Sha256};

use crate::history::{Claimed, Entry, History, Remembered};
use crate::judgement::{Judgement, Rule};
use crate::scenario::Scenario;
use crate::workload::Meaning;
use crate::world::Remains;

/// The deployed prefix.
const PREFIX: &str = "events/";

/// A claim's write may arrive this much later than the clock was read for it: four attempts of up to four seconds, the
/// back-offs between them, and a minute on the way. What was inserted first may be put until the deadline, of thirty seconds at
/// the most.
const fn latest_arrival_ms(writes: ClaimWrites) -> u64 {
    match writes {
        ClaimWrites::Single => 80_000,
        ClaimWrites::Batch => 90_000,
    }
}

/// Judges a world by its history and by what remains of it.
#[must_use]
pub fn judge(scenario: &Scenario, history: &History, remains: &Remains) -> Judgement {
    let mut model = Model::new(scenario);
    for (at_ms, entry) in history {
        model.happens(*at_ms, entry);
    }
    model.remains(remains);
    model.judgement
}

/// A message as the queue took it.
struct Taken<'a> {
    message: usize,
    meaning: &'a Meaning,
    acknowledged: bool,
    redriven: bool,
}

struct Invocation<'a> {
    is_ingest: bool,
    wall_seconds: u64,
    items: &'a [String],
    outcomes: usize,
    /// Which claim it tries to write for each event.
    claims: BTreeMap<&'a str, &'a str>,
}

struct Model<'a> {
    scenario: &'a Scenario,
    judgement: Judgement,
    taken: BTreeMap<&'a str, Taken<'a>>,
    invocations: BTreeMap<u64, Invocation<'a>>,
    /// By claim id, with the moment at which the table took it first.
    claims: BTreeMap<&'a str, (u64, &'a Claimed)>,
    won: BTreeSet<&'a str>,
    /// Claims that were tried in a request of many.
    inserts: BTreeSet<&'a str>,
    /// Those of them that were then put.
    puts_after_inserts: BTreeSet<&'a str>,
    /// Keys of objects whose request made its function panic.
    panicked: BTreeSet<&'a str>,
    /// Partition key to claim, for what is in the table now; none for what was put there by hand.
    table: BTreeMap<&'a str, Option<&'a Claimed>>,
}

impl<'a> Model<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        Self {
            scenario,
            judgement: Judgement::default(),
            taken: BTreeMap::new(),
            invocations: BTreeMap::new(),
            claims: BTreeMap::new(),
            won: BTreeSet::new(),
            inserts: BTreeSet::new(),
            puts_after_inserts: BTreeSet::new(),
            panicked: BTreeSet::new(),
            table: BTreeMap::new(),
        }
    }

    fn wall_ms(&self, at_ms: u64) -> u64 {
        u64::try_from(self.scenario.epoch.as_millis()).unwrap_or(u64::MAX) + at_ms
    }

    fn take(&mut self, id: &'a str, message: usize) {
        let meaning = &self.scenario.messages[message].meaning;
        self.taken.insert(id, Taken { message, meaning, acknowledged: false, redriven: false });
    }

    fn happens(&mut self, at_ms: u64, entry: &'a Entry) {
        match entry {
            Entry::Accepted { message, id } => self.take(id, *message),
            Entry::Redriven { old, new } => match self.taken.get_mut(old.as_str()) {
                Some(taken) => {
                    taken.redriven = true;
                    let message = taken.message;
                    self.take(new, message);
                }
                None => self.judgement.violated(Rule::Message, format!("the dead letter {old} was never sent")),
            },
            // The others are indefinite: whether the queue took them is seen from the queue alone.
            Entry::Sent { messages, known: Ok(()) } => {
                let taken: BTreeSet<usize> = self.taken.values().map(|taken| taken.message).collect();
                for message in messages.iter().filter(|message| !taken.contains(message)) {
                    self.judgement.violated(
                        Rule::Message,
                        format!("the producer was told that message {message} was taken, and it was not"),
                    );
                }
            }
            Entry::Invoked { invocation, function, wall_seconds, items, .. } => {
                let is_ingest = *function == "ingest";
                let (wall_seconds, claims) = (*wall_seconds, BTreeMap::new());
                self.invocations
                    .insert(*invocation, Invocation { is_ingest, wall_seconds, items, outcomes: 0, claims });
            }
            Entry::Requested { invocation: Some(invocation), operation, subject, .. }
                if matches!(operation.as_str(), "PutItem" | "BatchExecuteStatement") =>
            {
                let (claim_id, pk) = subject.split_once(' ').unwrap_or_default();
                if operation == "BatchExecuteStatement" {
                    self.inserts.insert(claim_id);
                } else if self.inserts.contains(claim_id) && self.puts_after_inserts.insert(claim_id) {
                    self.judgement.ended("claims put after their insert");
                }
                let Some(of) = self.invocations.get_mut(invocation) else { return };
                let first = *of.claims.entry(pk).or_insert(claim_id);
                if first != claim_id {
                    self.judgement.violated(
                        Rule::Claim,
                        format!("#{invocation} tries to claim {pk} by two claims, {first} and {claim_id}"),
                    );
                }
            }
            Entry::Claimed(claimed) => self.claimed(at_ms, claimed),
            Entry::PutByHand { pk } => drop(self.table.insert(pk, None)),
            Entry::Swept(_) => {
                let now = self.wall_ms(at_ms) / 1_000;
                self.table.retain(|_, claim| claim.is_none_or(|claim| claim.ttl >= now));
            }
            Entry::Logged { invocation, outcome, message_id, claim_id } => {
                self.logged(*invocation, outcome, message_id, claim_id);
            }
            Entry::Answered { invocation, failed, remembered } => self.answered(*invocation, failed, remembered),
            Entry::Refused { invocation, error } => {
                self.judgement.violated(Rule::OneItem, format!("#{invocation} failed as a whole: {error}"));
            }
            Entry::TimedOut { invocation } => {
                self.judgement.violated(Rule::InTime, format!("#{invocation} did not stop in time"));
            }
            Entry::Panicked { subject, .. } => drop(self.panicked.insert(subject)),
            Entry::Crashed { invocation } => {
                self.judgement.violated(Rule::OneItem, format!("#{invocation} panicked on one item of its batch"));
            }
            _ => {}
        }
    }

    /// A claim is of a message that the queue took, and no other claim holds its event.
    fn claimed(&mut self, at_ms: u64, claimed: &'a Claimed) {
        let Claimed { pk, claim_id, claimed_at, ttl, message_id, .. } = claimed;
        self.table.insert(pk, Some(claimed));
        // The same write may arrive twice, the second time after its claim has run out and was deleted.
        if self.claims.contains_key(claim_id.as_str()) {
            return;
        }
        let wall_ms = self.wall_ms(at_ms);
        let skew_ms = self.scenario.skew_ms;
        let latest_expiry = (wall_ms + skew_ms) / 1_000;
        let rival = self.claims.values().find(|(_, rival)| rival.pk == *pk && rival.ttl >= latest_expiry);
        if let Some((_, rival)) = rival {
            let (rival, until) = (&rival.claim_id, rival.ttl);
            self.judgement.violated(Rule::Claim, format!("{claim_id} claims {pk}, which {rival} holds until {until}"));
        }
        let is_of_message = match self.taken.get(message_id.as_str()).map(|taken| taken.meaning) {
            Some(Meaning::Event { id, .. }) => *pk == format!("{KEY_PREFIX}{id}"),
            Some(Meaning::NoEvent) | None => false,
        };
        if !is_of_message {
            self.judgement.violated(
                Rule::Claim,
                format!("{claim_id} claims {pk} for message {message_id}, which says nothing of it"),
            );
        }
        // The first 48 bits of a UUIDv7.
        let read_ms = u64::from_str_radix(&claim_id.replace('-', "")[..12], 16).unwrap_or_default();
        let read_at = SystemTime::UNIX_EPOCH + Duration::from_millis(read_ms);
        if *ttl != read_ms / 1_000 + self.scenario.window_seconds || *claimed_at != rfc3339(read_at) {
            self.judgement.violated(
                Rule::Claim,
                format!("{claim_id} holds from {claimed_at} until {ttl}, which is not one reading of a clock"),
            );
        }
        let latest_ms = latest_arrival_ms(self.scenario.claim_writes);
        if !(wall_ms.saturating_sub(latest_ms + skew_ms)..=wall_ms + skew_ms).contains(&read_ms) {
            self.judgement.violated(
                Rule::Claim,
                format!("{claim_id} was claimed at {claimed_at}, and the table took it at {wall_ms}"),
            );
        }
        let is_again = self.claims.values().any(|(_, earlier)| earlier.pk == *pk);
        self.judgement.ended(if is_again { "events won again after their window" } else { "events won" });
        self.claims.insert(claim_id, (at_ms, claimed));
        if self.inserts.contains(claim_id.as_str()) && !self.puts_after_inserts.contains(claim_id.as_str()) {
            self.judgement.ended("claims inserted in a batch");
        }
    }

    /// What the claim says of its event.
    fn content(&self, claimed: &Claimed) -> Option<u64> {
        match self.taken.get(claimed.message_id.as_str())?.meaning {
            Meaning::Event { content, .. } => Some(*content),
            Meaning::NoEvent => None,
        }
    }

    /// Every message that is not reported is won, a duplicate, or a conflict that the configuration acknowledges, by a claim
    /// that the table had taken and that had not run out when the batch began.
    fn answered(&mut self, invocation: u64, failed: &[String], remembered: &[Remembered]) {
        let Some(of) = self.invocations.get(&invocation) else { return };
        let (is_ingest, wall_seconds, items, outcomes) = (of.is_ingest, of.wall_seconds, of.items, of.outcomes);
        if outcomes != items.len() {
            self.judgement
                .violated(Rule::Log, format!("#{invocation} logged {outcomes} outcomes of {} items", items.len()));
        }
        if !is_ingest {
            return;
        }
        for id in items.iter().filter(|id| !failed.contains(id)) {
            let Some(taken) = self.taken.get_mut(id.as_str()) else { continue };
            taken.acknowledged = true;
            self.judgement.ended("messages acknowledged");
            let Meaning::Event { id: event_id, content, .. } = taken.meaning else {
                self.judgement
                    .violated(Rule::Acknowledged, format!("#{invocation} acknowledged {id}, which is no event"));
                continue;
            };
            let pk = format!("{KEY_PREFIX}{event_id}");
            let mut holds = self.claims.values().filter(|(_, claim)| claim.pk == pk && claim.ttl >= wall_seconds);
            let conflict_is_fine = !self.scenario.conflict_is_dead_letter;
            if !holds.any(|(_, claim)| conflict_is_fine || self.content(claim) == Some(*content)) {
                self.judgement.violated(
                    Rule::Acknowledged,
                    format!("#{invocation} acknowledged {id}, and no claim of {pk} held that allows it"),
                );
            }
        }
        for Remembered { key, claim_id, digest } in remembered {
            let confirmed = self.claims.get(claim_id.as_str()).is_some_and(|(_, claim)| {
                let hash = Sha256::digest(claim.pk.trim_start_matches(KEY_PREFIX));
                claim.digest == *digest && hash.starts_with(key)
            });
            if !confirmed {
                self.judgement.violated(
                    Rule::Cache,
                    format!("#{invocation} remembers {claim_id}, which the table has not confirmed so"),
                );
            }
        }
    }

    /// The log tells the truth.
    fn logged(&mut self, invocation: u64, outcome: &str, message_id: &str, claim_id: &'a str) {
        let Some(of) = self.invocations.get_mut(&invocation) else { return };
        of.outcomes += 1;
        if !of.is_ingest {
            return;
        }
        let own = of.claims.values().any(|own| *own == claim_id);
        let Some(Taken { meaning, .. }) = self.taken.get(message_id) else {
            return self
                .judgement
                .violated(Rule::Log, format!("#{invocation} logged {outcome} of {message_id}, which was never sent"));
        };
        let claim = self.claims.get(claim_id).map(|(_, claim)| *claim);
        let same = match (meaning, claim) {
            (Meaning::Event { content, .. }, Some(claim)) => self.content(claim) == Some(*content),
            _ => false,
        };
        let is_own_message = claim.is_some_and(|claim| claim.message_id == message_id);
        let true_ = match outcome {
            "won" => own && is_own_message && self.won.insert(claim_id),
            // Its own claim holds a message only if it came twice in the batch, and the other one has won.
            "duplicate" => same && (!(own && is_own_message) || self.won.contains(claim_id)),
            "conflict" => claim.is_some() && !same,
            "rejected" => matches!(meaning, Meaning::NoEvent),
            "failed" => true,
            _ => false,
        };
        if !true_ {
            self.judgement.violated(
                Rule::Log,
                format!("#{invocation} logged {outcome} of {message_id} by {claim_id}, which is not so"),
            );
        }
    }

    fn remains(&mut self, remains: &Remains) {
        for what in &remains.unrest {
            self.judgement.violated(Rule::Rest, what.clone());
        }
        self.messages_remain(remains);
        self.objects_remain(remains);

        let expected: BTreeMap<&str, Option<&str>> =
            self.table.iter().map(|(pk, claim)| (*pk, claim.map(|claim| claim.claim_id.as_str()))).collect();
        let pks: BTreeSet<&str> = expected.keys().copied().chain(remains.table.keys().map(String::as_str)).collect();
        for pk in pks {
            let is_right = match (expected.get(pk), remains.table.get(pk)) {
                (Some(None), Some(_)) => true,
                (Some(Some(claim_id)), Some(found)) => claim_id == found,
                _ => false,
            };
            if !is_right {
                let (expected, found) = (expected.get(pk), remains.table.get(pk));
                self.judgement
                    .violated(Rule::Table, format!("the table has {found:?} for {pk}, and should have {expected:?}"));
            }
        }
    }

    /// Each message was acknowledged or is a dead letter, and is a dead letter for a reason that lasts: everything else has
    /// been redriven when nothing went wrong any more.
    fn messages_remain(&mut self, remains: &Remains) {
        for id in remains.dead_letters.iter().filter(|id| !self.taken.contains_key(id.as_str())) {
            self.judgement.violated(Rule::Message, format!("the dead letter {id} was never sent"));
        }
        for (id, taken) in &self.taken {
            let is_dead = remains.dead_letters.contains(*id);
            if is_dead {
                let is_event = matches!(taken.meaning, Meaning::Event { .. });
                self.judgement.ended(if is_event { "dead letters: conflicts" } else { "dead letters: no events" });
            }
            if !is_dead && !taken.acknowledged && !taken.redriven {
                self.judgement.violated(Rule::Message, format!("message {id} vanished"));
            }
            if let Meaning::Event { id: event_id, content, .. } = taken.meaning
                && is_dead
            {
                let pk = format!("{KEY_PREFIX}{event_id}");
                let is_conflict = self.scenario.conflict_is_dead_letter
                    && self.claims.values().any(|(_, claim)| claim.pk == pk && self.content(claim) != Some(*content));
                if !is_conflict && !remains.by_hand.contains_key(&pk) {
                    self.judgement
                        .violated(Rule::Message, format!("message {id} about {pk} is a dead letter without a reason"));
                }
            }
        }
    }

    /// Each claim, and each record that can never be archived, has one object with one version and the right content, or was
    /// given up; and there is nothing else.
    fn objects_remain(&mut self, remains: &Remains) {
        let mut expected: BTreeMap<String, (&str, Option<String>)> = BTreeMap::new();
        // The records of claims on which archive-fn panicked: each may be kept whole instead, or as well.
        let mut instead: BTreeMap<String, &str> = BTreeMap::new();
        for (claim_id, (_, claim)) in &self.claims {
            let Claimed { claimed_at, message_id, .. } = claim;
            let Some(Meaning::Event { id, line, .. }) = self.taken.get(message_id.as_str()).map(|taken| taken.meaning)
            else {
                continue;
            };
            let id = serde_json::Value::from(id.as_str());
            let content = format!(
                "{{\"event_id\":{id},\"claim_id\":\"{claim_id}\",\"claimed_at\":\"{claimed_at}\",\"message_id\":\"{message_id}\",\"event\":{line}}}\n"
            );
            let (day, hour) = (&claimed_at[..10], &claimed_at[11..13]);
            let key = format!("{PREFIX}dt={day}/hour={hour}/{claim_id}.json");
            if self.panicked.contains(key.as_str()) {
                let numbers = remains.sequence_numbers.get(*claim_id).into_iter().flatten();
                instead.extend(numbers.map(|number| (quarantine_key(number), *claim_id)));
            }
            expected.insert(key, (claim_id, Some(content)));
        }
        for (pk, _) in remains.by_hand.iter().filter(|(_, is_quarantined)| **is_quarantined) {
            for number in remains.sequence_numbers.get(pk).into_iter().flatten() {
                expected.insert(quarantine_key(number), (pk, None));
            }
        }
        for (key, versions) in &remains.objects {
            let content = match expected.get(key) {
                Some((_, content)) => content.as_ref(),
                None if instead.contains_key(key) => None,
                None => {
                    self.judgement.violated(Rule::Object, format!("{key} is nobody's object"));
                    continue;
                }
            };
            self.judgement.ended(match content {
                Some(_) => "objects",
                None if instead.contains_key(key) => "claims quarantined after a panic",
                None => "records quarantined",
            });
            if versions.len() != 1 {
                self.judgement.violated(Rule::Object, format!("{key} has {} versions", versions.len()));
            }
            if content.is_some_and(|content| versions.iter().any(|version| version != content.as_bytes())) {
                self.judgement.violated(Rule::Object, format!("{key} does not hold what its claim says"));
            }
        }
        let numbers: BTreeSet<&String> = remains.sequence_numbers.values().flatten().collect();
        for (first, last) in &remains.given_up {
            if !numbers.contains(first) || !numbers.contains(last) {
                self.judgement.violated(
                    Rule::Object,
                    format!("the on-failure queue names {first} to {last}, which are no records"),
                );
            }
        }
        let is_named = |name: &str| {
            let of = remains.sequence_numbers.get(name).into_iter().flatten();
            of.into_iter().any(|number| remains.given_up.iter().any(|(first, last)| first <= number && number <= last))
        };
        let kept: BTreeSet<&str> =
            instead.iter().filter(|(key, _)| remains.objects.contains_key(*key)).map(|(_, name)| *name).collect();
        for (key, (name, _)) in expected.iter().filter(|(key, _)| !remains.objects.contains_key(*key)) {
            if kept.contains(name) {
                continue;
            }
            if !is_named(name) {
                self.judgement.violated(
                    Rule::Object,
                    format!("{name} has no object {key}, and the on-failure queue does not name it"),
                );
            } else if !self.scenario.gives_up() {
                self.judgement
                    .violated(Rule::Object, format!("{name} was given up, though nothing kept it for so long"));
            } else {
                self.judgement.ended("records given up");
            }
        }
    }
}

fn quarantine_key(sequence_number: &str) -> String {
    format!("{PREFIX}_unusable/{sequence_number}.json")
}
