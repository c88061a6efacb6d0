//! Generates messages. Each body is generated from its meaning, so the reference model never has to parse a body.

use emulator::sqs::MAX_MESSAGE_BYTES;
use fastrand::Rng;

/// Length of the longest event id, in bytes. A partition key has at most 2,048 bytes, and `EVENT#` takes 6 of them.
const MAX_EVENT_ID_BYTES: usize = 2_042;

/// Maximum nesting of a valid body.
const MAX_NESTING: usize = 128;

/// A message of the producer.
#[derive(Clone, Debug)]
pub struct Message {
    pub body: String,
    pub meaning: Meaning,
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
    /// Chooses a random mix for this number of messages. The maximum number of events is one, two to
    /// five, or the number of messages.
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

/// Generates `count` messages. `pointer` is the JSON Pointer to the event id in a body: `/event_id` or `/detail/id`.
#[must_use]
pub fn messages(random: &mut Rng, count: usize, mix: Mix, pointer: &str) -> Vec<Message> {
    let mut messages: Vec<Message> = (0..count)
        .map(|_| {
            if random.u64(..100) < mix.invalid_percent {
                return Message { body: invalid_body(random), meaning: Meaning::Invalid };
            }
            let id = event_id(random.usize(..mix.events));
            event_message(random, id, mix.contents, pointer, "")
        })
        .collect();
    if mix.has_large_message && !messages.is_empty() {
        let position = random.usize(..count);
        messages[position] = large_message(random, pointer);
    }
    messages
}

/// Generates a small message that is a valid event with this id.
#[must_use]
pub fn plain_message(id: &str, pointer: &str) -> Message {
    event_message(&mut Rng::with_seed(0), id.to_owned(), 1, pointer, "")
}

/// Returns the id of event number `n`. Some low numbers have ids that are difficult to handle, such as the longest id.
fn event_id(n: usize) -> String {
    match n {
        1 => "7".to_owned(),
        2 => "a \"quoted\"\\ id\n".to_owned(),
        3 => "é\u{1F600}\u{0}".to_owned(),
        4 => "x".repeat(MAX_EVENT_ID_BYTES),
        _ => format!("event-{n}"),
    }
}

/// Generates a message about the event `id`. The content is chosen at random from `contents` different ones. The
/// formatting of the body is random and does not affect the content.
fn event_message(random: &mut Rng, id: String, contents: u64, pointer: &str, padding: &str) -> Message {
    let content = random.u64(..contents);
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    // The integer 7 and the string "7" are the same event id, but a body with the integer and a body with the string
    // conflict.
    let is_integer = id == "7" && random.bool();
    let id_json = if is_integer { id.clone() } else { quoted(&id) };
    let (id_name, id_value) = match pointer {
        "/detail/id" => ("\"detail\"", format!("{{\"id\":{id_json}}}")),
        _ => ("\"event_id\"", id_json),
    };
    let number_name = if random.bool() { "\"n\"" } else { "\"\\u006e\"" };
    let mut members = vec![
        (id_name, id_value),
        (number_name, format!("1{content}.50E+2")),
        ("\"text\"", quoted(" { \"not\" : white space } ")),
        ("\"list\"", "[null,true,{},[]]".to_owned()),
    ];
    if !padding.is_empty() {
        members.push(("\"padding\"", quoted(padding)));
    }
    random.shuffle(&mut members);
    let spaced = random.bool();
    let body = |between: &str| {
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("{between}{name}{between}:{between}{value}{between}")).collect();
        format!("{between}{{{}}}{between}", members.join(","))
    };
    let line = body("");
    let body = if spaced { body("\r\n\t ") } else { line.clone() };
    // Bodies conflict if their ids have different types or if their padding differs, so both are part of the content number.
    let content = content + 500 * u64::from(is_integer) + 1_000 * u64::try_from(padding.len()).unwrap_or(u64::MAX);
    Message { body, meaning: Meaning::Event { id, content, line } }
}

/// Generates a message that is as large as SQS allows, or whose claim almost fills a DynamoDB item, or whose claim is too
/// large for an item.
fn large_message(random: &mut Rng, pointer: &str) -> Message {
    let id = "large".to_owned();
    let letters = |random: &mut Rng, length| (0..length).map(|_| random.alphanumeric()).collect::<String>();
    match random.u8(..3) {
        // A body as large as SQS allows, which compresses to almost nothing.
        0 => {
            let unpadded = event_message(&mut Rng::with_seed(0), id.clone(), 1, pointer, "x").body.len() - 1;
            event_message(&mut Rng::with_seed(0), id, 1, pointer, &"x".repeat(MAX_MESSAGE_BYTES - unpadded))
        }
        // A random letter or digit carries about six bits, so 450 KiB of them compress to about 340 KiB. An item can have
        // 400 KiB.
        1 => {
            let padding = letters(random, 450 * 1024);
            event_message(random, id, 1, pointer, &padding)
        }
        // Even compressed, 700 KiB of random letters and digits do not fit into an item.
        _ => {
            let padding = letters(random, 700 * 1024);
            let Message { body, .. } = event_message(random, id, 1, pointer, &padding);
            Message { body, meaning: Meaning::Invalid }
        }
    }
}

/// Generates a body that is not a valid event.
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
