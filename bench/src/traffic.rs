//! Generates the input of the functions: batches from a queue or from a stream, with events of two sizes.

use std::time::{Duration, SystemTime};

use claim::pack::{MAX_CHUNK_BYTES, MAX_CHUNK_CLAIMS};
use claim::{Claim, EventRules, PackBuilder, SourceMessage};
use serde::Serialize;
use serde_json::{Value, json};

/// Default batch size of the queue mapping.
pub const BATCH: usize = 10;

/// The source of a function's batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A queue. Each record is a message.
    Queue,
    /// A table's stream. Each record contains a claim that `ingest-fn` could have written.
    Stream,
    /// A table's stream. Each record contains a pack that `ingest-fn` could have written.
    Packs,
}

/// The size of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Size {
    /// One reading of one sensor: 250 bytes.
    #[serde(rename = "250 bytes")]
    Reading,
    /// About a minute of readings of one sensor: 5 KB.
    #[serde(rename = "5 KB")]
    Sensor,
}

/// The relation between the messages of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Relation {
    /// Each message is a new event.
    Distinct,
    /// Each message after the first batch is a duplicate of an event in that batch.
    Duplicates,
}

impl Size {
    pub const ALL: [Self; 2] = [Self::Reading, Self::Sensor];

    /// Returns the name of the size in the printed tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reading => "250 bytes",
            Self::Sensor => "5 KB",
        }
    }

    /// Returns the event with this id. The same id always gives the same bytes.
    #[must_use]
    pub fn body(self, event_id: &str) -> String {
        match self {
            Self::Reading => reading(event_id),
            Self::Sensor => sensor(event_id, 5 * 1024),
        }
    }
}

/// Returns one reading of 250 bytes.
#[must_use]
pub fn reading(event_id: &str) -> String {
    let mut random = fastrand::Rng::with_seed(seed(event_id));
    let reading = json!({
        "event_id": event_id,
        "sensor": format!("substation-{:04}", random.u32(..1_000)),
        "area": "10YES-REE------0",
        "voltage_kv": f64::from(random.u32(380_000..420_000)) / 1_000.0,
        "frequency_hz": f64::from(random.u32(49_900..50_100)) / 1_000.0,
        "load_mw": f64::from(random.u32(100_000..900_000)) / 100.0,
        "timestamp": "2026-11-25T09:41:07.123Z",
    });
    let mut text = reading.to_string();
    text.pop();
    let filler = 250_usize.saturating_sub(text.len() + r#","note":""}"#.len());
    text + r#","note":""# + &"grid stress ".repeat(filler / 12 + 1)[..filler] + "\"}"
}

/// Returns an event with as many readings of one sensor as fit into `bytes`. Each reading differs slightly from the one
/// before.
#[must_use]
pub fn sensor(event_id: &str, bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(seed(event_id));
    let mut text =
        format!(r#"{{"event_id":"{event_id}","sensor":"substation-0417","area":"10YES-REE------0","readings":["#);
    let mut voltage = 400_000_u32;
    let mut frequency = 50_000_u32;
    let mut second = 0;
    loop {
        voltage = voltage + random.u32(..200) - 100;
        frequency = frequency + random.u32(..20) - 10;
        let reading = format!(
            r#"{{"at":"2026-11-25T09:{:02}:{:02}Z","voltage_kv":{:.3},"frequency_hz":{:.3},"quality":"good"}}"#,
            second / 60 % 60,
            second % 60,
            f64::from(voltage) / 1_000.0,
            f64::from(frequency) / 1_000.0,
        );
        if text.len() + reading.len() + 3 > bytes && second > 0 {
            return text + "]}";
        }
        text += if second > 0 { "," } else { "" };
        text += &reading;
        second += 1;
    }
}

fn seed(event_id: &str) -> u64 {
    event_id.bytes().fold(7, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(byte.into()))
}

/// Generates batches. Each message has its own message id.
pub struct Traffic {
    source: Source,
    size: Size,
    relation: Relation,
    messages: usize,
}

impl Traffic {
    #[must_use]
    pub fn new(source: Source, size: Size, relation: Relation) -> Self {
        Self { source, size, relation, messages: 0 }
    }

    /// Returns the next batch as JSON, and the number of new events in it.
    pub fn batch(&mut self, messages: usize) -> (String, usize) {
        let mut new = 0;
        let messages: Vec<(usize, String)> = (0..messages)
            .map(|position| {
                let message = self.messages;
                self.messages += 1;
                let event = match self.relation {
                    Relation::Distinct => message,
                    Relation::Duplicates => position,
                };
                new += usize::from(event == message);
                (message, self.size.body(&format!("grid_stress_{event:08}")))
            })
            .collect();
        let records: Vec<Value> = match self.source {
            Source::Queue => messages.iter().map(|(message, body)| queue_record(*message, body)).collect(),
            Source::Stream => messages.iter().map(|(message, body)| stream_record(*message, body)).collect(),
            Source::Packs => pack_records(&messages),
        };
        (json!({ "Records": records }).to_string(), new)
    }
}

/// Returns a message as Lambda passes it to a function, including receipt handle and attributes.
#[must_use]
pub fn queue_record(message: usize, body: &str) -> Value {
    json!({
        "messageId": format!("059f36b4-87a3-44ab-83d2-{message:012}"),
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a".repeat(6),
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1795599667123",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "ApproximateFirstReceiveTimestamp": "1795599667130",
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:sa-east-1:123456789012:dynamo-locking-dev-ingestion-queue",
        "awsRegion": "sa-east-1",
    })
}

/// Returns the stream record of the claim that `ingest-fn` would write for this message.
///
/// # Panics
/// Panics if the body is not a valid event or is too large for a claim.
#[must_use]
pub fn stream_record(message: usize, body: &str) -> Value {
    let claim = claim(message, body);
    let bytes = claim.item_bytes();
    let image = serde_json::to_value(claim.to_item()).expect("an item is JSON");
    record_of_item(message, &image, bytes)
}

/// Returns the stream records of the packs that `ingest-fn` would write for these messages.
fn pack_records(messages: &[(usize, String)]) -> Vec<Value> {
    let claims: Vec<(usize, Claim)> =
        messages.iter().map(|(message, body)| (*message, claim(*message, body))).collect();
    let mut chunks: Vec<Vec<&(usize, Claim)>> = Vec::new();
    let mut bytes = usize::MAX;
    for claim in &claims {
        let claim_bytes = claim.1.pack_bytes();
        match chunks.last_mut() {
            Some(chunk) if bytes + claim_bytes <= MAX_CHUNK_BYTES && chunk.len() < MAX_CHUNK_CLAIMS => {
                chunk.push(claim);
                bytes += claim_bytes;
            }
            _ => {
                chunks.push(vec![claim]);
                bytes = claim_bytes;
            }
        }
    }
    let record = |chunk: &Vec<&(usize, Claim)>| {
        let (message, first) = chunk[0];
        let mut builder = PackBuilder::new();
        for (_, claim) in chunk {
            builder.push(claim).expect("the claim has a line");
        }
        // Any UUIDv7 that no other pack has.
        let pack = builder.finish(first.claim_id).expect("the pack fits");
        let bytes = pack.item_bytes();
        record_of_item(*message, &serde_json::to_value(pack.into_item()).expect("an item is JSON"), bytes)
    };
    chunks.iter().map(record).collect()
}

/// Returns the claim that `ingest-fn` would write for this message.
fn claim(message: usize, body: &str) -> Claim {
    let event = EventRules::default().event(body, None).expect("the body is a valid event");
    let mut random = [0; 10];
    random[2..].copy_from_slice(&(message as u64).to_be_bytes());
    let message_id = format!("059f36b4-87a3-44ab-83d2-{message:012}");
    let window = Duration::from_secs(16 * 86_400);
    let source = SourceMessage::new(&message_id, body);
    Claim::new(&event, &source, SystemTime::now(), window, &random).expect("the body fits")
}

fn record_of_item(number: usize, image: &Value, bytes: usize) -> Value {
    json!({
        "eventID": "c4ca4238a0b923820dcc509a6f75849b",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "sa-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_795_599_667,
            "Keys": { "pk": image["pk"], "sk": image["sk"] },
            "NewImage": image,
            "SequenceNumber": format!("4421584500000000017450{number:09}"),
            "SizeBytes": bytes,
            "StreamViewType": "NEW_IMAGE",
        },
        "eventSourceARN": "arn:aws:dynamodb:sa-east-1:123456789012:table/claims/stream/2026-11-25T00:00:00.000",
    })
}
