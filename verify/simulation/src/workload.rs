//! Generates messages. Each body is generated from its meaning, so the reference model never has to parse a body.

use emulator::sqs::MAX_MESSAGE_BYTES;
use fastrand::Rng;

use crate::event_rules::{DedupKey, EventRules, sha256_hex};

/// Length of the longest event id, in bytes. A partition key has at most 2,048 bytes, and `EVENT#` takes 6 of them.
const MAX_EVENT_ID_BYTES: usize = 2_042;

/// Maximum nesting of a valid body.
const MAX_NESTING: usize = 128;

/// A message that the producer sends.
#[derive(Clone, Debug)]
pub struct Message {
    pub body: String,
    pub meaning: Meaning,
    pub attributes: Vec<Attribute>,
    /// The system attribute `AWSTraceHeader`.
    pub trace_header: Option<String>,
    /// The valid trace id in `trace_header` or in `attributes`, if there is one.
    pub trace_id: Option<String>,
}

/// A message attribute.
#[derive(Clone, Debug)]
pub struct Attribute {
    pub name: &'static str,
    /// `String`, `Number` or `Binary`.
    pub data_type: &'static str,
    pub value: String,
}

impl Message {
    fn new(body: String, meaning: Meaning) -> Self {
        Self { body, meaning, attributes: Vec::new(), trace_header: None, trace_id: None }
    }

    /// Returns the number of bytes that count toward the size limit of SQS.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attribute =
            |attribute: &Attribute| attribute.name.len() + attribute.data_type.len() + attribute.value.len();
        self.body.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }

    /// Adds a trace context, either malformed or in one of the forms that producers use.
    pub fn add_trace(&mut self, random: &mut Rng) {
        let id = format!("{:032x}", random.u128(1..));
        let xray = format!("1-{}-{}", &id[..8], &id[8..]);
        let traceparent = |value| Attribute { name: "traceparent", data_type: "String", value };
        match random.u8(..5) {
            0 => self.trace_header = Some("Root=1-malformed;Sampled=1".to_owned()),
            1 => self.attributes.push(traceparent("malformed".to_owned())),
            2 => {
                self.attributes.push(traceparent(format!("00-{id}-00f067aa0ba902b7-01")));
                self.trace_id = Some(id);
            }
            _ => {
                self.trace_header = Some(format!("Root={xray};Parent=53995c3f42cd8ad8;Sampled=1"));
                self.trace_id = Some(xray);
            }
        }
    }
}

/// The meaning of a message's body.
#[derive(Clone, Debug)]
pub enum Meaning {
    /// A valid event.
    Event {
        /// Event id. Two messages with the same id are about the same event.
        id: String,
        /// A number that stands for the content. Two bodies of one event are duplicates if they have the same number, and
        /// conflict otherwise. The bytes of duplicates may differ.
        content: u64,
        /// The body without white space between its tokens, as the event's object contains it.
        line: String,
    },
    /// The body is not a valid event, so the message must become a dead letter.
    Invalid,
}

/// Limits and rates for the messages of a world.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Maximum number of distinct events.
    pub events: usize,
    /// Number of different contents for each event. Each message about the event gets one of them at random.
    pub contents: u64,
    /// Percentage of messages whose body is not a valid event.
    pub invalid_percent: u64,
    /// True if one of the messages tests a size limit of SQS or DynamoDB.
    pub has_large_message: bool,
}

impl Mix {
    /// Chooses a random mix for this number of messages. The maximum number of events is 1, a number from 2 to 5, or
    /// the number of messages.
    #[must_use]
    pub fn random(random: &mut Rng, messages: usize) -> Self {
        let events = match random.u8(..4) {
            0 => 1,
            1 => messages,
            _ => random.usize(2..6),
        };
        Self {
            events,
            contents: if random.bool() { 1 } else { random.u64(2..4) },
            invalid_percent: [0, 0, 5, 20][random.usize(..4)],
            has_large_message: random.u8(..12) == 0,
        }
    }
}

/// Generates `count` messages for a world with these rules.
#[must_use]
pub fn messages(random: &mut Rng, count: usize, mix: Mix, rules: &EventRules) -> Vec<Message> {
    let mut messages: Vec<Message> = (0..count)
        .map(|_| {
            if random.u64(..100) < mix.invalid_percent {
                return invalid_message(random, rules);
            }
            let parts = id_parts(random.usize(..mix.events), rules.key);
            event_message(random, parts, mix.contents, rules, "")
        })
        .collect();
    if mix.has_large_message && !messages.is_empty() {
        let position = random.usize(..count);
        messages[position] = large_message(random, rules);
    }
    messages
}

/// Generates a small message that is a valid event with this id.
#[must_use]
pub fn plain_message(id: &str, rules: &EventRules) -> Message {
    event_message(&mut Rng::with_seed(0), ("plain".to_owned(), id.to_owned()), 1, rules, "")
}

/// Returns the source and the id of event number `n`. Some low numbers have ids that are difficult to handle, such as the
/// longest id. Only a composite key contains the source.
fn id_parts(n: usize, key: DedupKey) -> (String, String) {
    if key == DedupKey::Composite {
        let longest = MAX_EVENT_ID_BYTES - r#"["long",""]"#.len();
        // Without care, the two parts of some of these events would join to the same text.
        let (source, id) = match n {
            0 => ("a", "b|c"),
            1 => ("a|b", "c"),
            2 => ("a\",\"b", "c"),
            3 => ("a", "b\",\"c"),
            4 => return ("long".to_owned(), "x".repeat(longest)),
            5 => ("urn:shop-a", "7"),
            6 => ("urn:shop-b", "7"),
            7 => ("a", "b,c"),
            8 => ("a,b", "c"),
            9 => ("ab", "c"),
            10 => ("a", "bc"),
            _ => return ("source".to_owned(), format!("event-{n}")),
        };
        return (source.to_owned(), id.to_owned());
    }
    let id = match n {
        1 => "7".to_owned(),
        2 => "a \"quoted\"\\ id\n".to_owned(),
        // The value of a message attribute cannot contain U+0000.
        3 if key == DedupKey::Attribute => "é\u{1F600}".to_owned(),
        3 => "é\u{1F600}\u{0}".to_owned(),
        4 => "x".repeat(MAX_EVENT_ID_BYTES),
        _ => format!("event-{n}"),
    };
    (String::new(), id)
}

/// A member of a body.
struct Member {
    name: &'static str,
    /// The name as the body contains it, in quotation marks.
    written_name: &'static str,
    value: String,
    /// The value in the canonical form; `None` if the member is ignored.
    canonical: Option<String>,
}

impl Member {
    fn new(name: &'static str, written_name: &'static str, value: String) -> Self {
        Self { name, written_name, canonical: Some(value.clone()), value }
    }
}

/// Generates a message about the event with this source and id. The content is chosen at random from `contents` different
/// ones. The formatting of the body and the ignored members are random and do not affect the content.
fn event_message(
    random: &mut Rng,
    (source, id): (String, String),
    contents: u64,
    rules: &EventRules,
    padding: &str,
) -> Message {
    let content = random.u64(..contents);
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    // The integer 7 and the string "7" are the same event id, but a body with the integer and a body with the string
    // conflict.
    let is_integer = id == "7" && rules.key != DedupKey::Attribute && random.bool();
    let id_json = if is_integer { id.clone() } else { quoted(&id) };
    let number_name = if random.bool() { "\"n\"" } else { "\"\\u006e\"" };
    let mut members = match rules.key {
        DedupKey::Pointer("/detail/id") => vec![Member::new("detail", "\"detail\"", format!("{{\"id\":{id_json}}}"))],
        DedupKey::Composite => vec![
            Member::new("source", "\"source\"", quoted(&source)),
            Member::new("detail", "\"detail\"", format!("{{\"id\":{id_json}}}")),
        ],
        DedupKey::Attribute => Vec::new(),
        DedupKey::Pointer(_) | DedupKey::Content => vec![Member::new("event_id", "\"event_id\"", id_json)],
    };
    members.extend([
        Member::new("n", number_name, format!("1{content}.50E+2")),
        Member::new("text", "\"text\"", quoted(" { \"not\" : white space } ")),
        Member::new("list", "\"list\"", "[null,true,{},[]]".to_owned()),
    ]);
    if !padding.is_empty() {
        members.push(Member::new("padding", "\"padding\"", quoted(padding)));
    }
    if rules.is_ignored("/sent_at") && random.u8(..4) > 0 {
        let value = [random.u16(..).to_string(), "{\"again\":[1,\"]}\"]}".to_owned()][random.usize(..2)].clone();
        members.push(Member { name: "sent_at", written_name: "\"sent_at\"", value, canonical: None });
    }
    if rules.is_ignored("/trace/id") {
        let value = [
            "{\"on\":true}".to_owned(),
            format!("{{\"id\":{},\"on\":true}}", random.u16(..)),
            "{\"on\":true,\"id\":\"\"}".to_owned(),
        ];
        let canonical = Some(value[0].clone());
        let value = value[random.usize(..3)].clone();
        members.push(Member { name: "trace", written_name: "\"trace\"", value, canonical });
    }
    random.shuffle(&mut members);
    let spaced = random.bool();
    let body = |between: &str| {
        let member = |Member { written_name, value, .. }: &Member| {
            format!("{between}{written_name}{between}:{between}{value}{between}")
        };
        format!("{between}{{{}}}{between}", members.iter().map(member).collect::<Vec<_>>().join(","))
    };
    let line = body("");
    let body = if spaced { body("\r\n\t ") } else { line.clone() };
    // Bodies conflict if their ids have different types or if their padding differs, so both are part of the content number.
    let content = content + 500 * u64::from(is_integer) + 1_000 * u64::try_from(padding.len()).unwrap_or(u64::MAX);
    let event_id = match rules.key {
        DedupKey::Pointer(_) | DedupKey::Attribute => id.clone(),
        DedupKey::Composite => format!("[{},{}]", quoted(&source), quoted(&id)),
        DedupKey::Content => format!("sha256:{}", sha256_hex(&canonical(&members))),
    };
    let mut message = Message::new(body, Meaning::Event { id: event_id, content, line });
    if rules.key == DedupKey::Attribute {
        let data_type = if id == "7" && random.bool() { "Number" } else { "String" };
        message.attributes.push(Attribute { name: "event", data_type, value: id });
    }
    message
}

/// Returns the canonical form of an object with these members.
fn canonical(members: &[Member]) -> String {
    let mut members: Vec<_> =
        members.iter().filter_map(|Member { name, canonical, .. }| Some((name, canonical.as_ref()?))).collect();
    members.sort_unstable();
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// Generates a message that is as large as SQS allows, or whose claim almost fills a DynamoDB item, or whose claim is too
/// large for an item.
fn large_message(random: &mut Rng, rules: &EventRules) -> Message {
    let id = ("large".to_owned(), "large".to_owned());
    let letters = |random: &mut Rng, length| (0..length).map(|_| random.alphanumeric()).collect::<String>();
    match random.u8(..3) {
        // A message as large as SQS allows, whose body compresses to almost nothing.
        0 => {
            let unpadded = event_message(&mut Rng::with_seed(0), id.clone(), 1, rules, "x").bytes() - 1;
            event_message(&mut Rng::with_seed(0), id, 1, rules, &"x".repeat(MAX_MESSAGE_BYTES - unpadded))
        }
        // A random letter or digit carries about six bits, so 450 KiB of them compress to about 340 KiB. An item can have
        // 400 KiB.
        1 => {
            let padding = letters(random, 450 * 1024);
            event_message(random, id, 1, rules, &padding)
        }
        // Even compressed, 700 KiB of random letters and digits do not fit into an item.
        _ => {
            let padding = letters(random, 700 * 1024);
            let message = event_message(random, id, 1, rules, &padding);
            Message { meaning: Meaning::Invalid, ..message }
        }
    }
}

/// Generates a message that is not a valid event.
fn invalid_message(random: &mut Rng, rules: &EventRules) -> Message {
    let is_in_body = matches!(rules.key, DedupKey::Pointer(_) | DedupKey::Composite);
    let body = if is_in_body { invalid_body(random) } else { invalid_json(random) };
    let mut message = Message::new(body, Meaning::Invalid);
    if rules.key == DedupKey::Attribute {
        let attribute = |name, data_type| Attribute { name, data_type, value: "an id".to_owned() };
        match random.u8(..4) {
            0 => message = Message { attributes: vec![attribute("other", "String")], ..valid_json() },
            1 => message = Message { attributes: vec![attribute("event", "Binary")], ..valid_json() },
            _ => message.attributes.push(attribute("event", "String")),
        }
    }
    message
}

fn valid_json() -> Message {
    Message::new("{}".to_owned(), Meaning::Invalid)
}

/// Generates a body that is not valid under any dedup key.
fn invalid_json(random: &mut Rng) -> String {
    let nested = "[".repeat(MAX_NESTING + 1) + &"]".repeat(MAX_NESTING + 1);
    let bodies = ["not json", r#"{"a":1,"a":1}"#, r#"{"a":"\ud800"}"#, "{} {}", &nested];
    bodies[random.usize(..bodies.len())].to_owned()
}

/// Generates a body that is not a valid event if the dedup key is one or more members of the body.
fn invalid_body(random: &mut Rng) -> String {
    let nested = |depth| format!("{{\"event_id\":\"deep\",\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    let too_long = "x".repeat(MAX_EVENT_ID_BYTES + 1);
    match random.u8(..14) {
        0 => "not json".to_owned(),
        1 => r#"{"event_id":"a","event_id":"b","detail":{"id":"a","id":"b"}}"#.to_owned(),
        2 => r#"{"event_id":"\ud800","detail":{"id":"\ud800"}}"#.to_owned(),
        3 => nested(MAX_NESTING),
        4 => r#"{"other":1}"#.to_owned(),
        5 => r#"{"event_id":null,"detail":{"id":null}}"#.to_owned(),
        6 => r#"{"event_id":"","detail":{"id":""}}"#.to_owned(),
        7 => r#"{"event_id":1.0,"detail":{"id":1.0}}"#.to_owned(),
        8 => r#"{"event_id":{},"detail":{"id":[]}}"#.to_owned(),
        9 => format!(r#"{{"event_id":"{too_long}","detail":{{"id":"{too_long}"}}}}"#),
        10 => "[]".to_owned(),
        11 => r#"{"event_id":"a","detail":{"id":"a"}} {}"#.to_owned(),
        12 => r#"{"event_id":true,"detail":{"id":false}}"#.to_owned(),
        _ => r#"[{"event_id":"a","detail":{"id":"a"}}]"#.to_owned(),
    }
}
