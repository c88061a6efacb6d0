//! Poison records: items that someone puts into the table by hand. Some look like claims but can never be archived. Others
//! are not claims at all.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_types::Blob;

/// Value of the attribute `message_id` in every poison record.
pub const BY_HAND: &str = "by hand";

/// An item that `archive-fn` cannot archive.
#[derive(Debug)]
pub struct PoisonRecord {
    pub item: HashMap<String, AttributeValue>,
    /// True if the item looks like a claim, so `archive-fn` must quarantine it. False if `archive-fn` must skip it.
    pub is_quarantined: bool,
}

impl PoisonRecord {
    /// Builds a poison record with the partition key `pk` and the sort key `sk`. `kind` may be any number and selects
    /// the record's defect. For one third of all kinds, the sort key is `OTHER` instead, so the record is not a claim.
    #[must_use]
    pub fn new(kind: usize, pk: &str, sk: &str) -> Self {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let bytes = |bytes: &[u8]| AttributeValue::B(Blob::new(bytes));
        let mut item: HashMap<&str, AttributeValue> = [
            ("pk", text(pk)),
            ("sk", text(sk)),
            ("claim_id", text("018cc251-f400-7000-8000-000000000000")),
            ("claimed_at", text("2027-01-15T08:00:00.000Z")),
            ("ttl", AttributeValue::N("4000000000".to_owned())),
            ("digest", bytes(&[1; 33])),
            ("message_id", text(BY_HAND)),
            ("body", text("{}")),
        ]
        .into();
        match kind % 10 {
            0 => drop(item.remove("ttl")),
            1 => drop(item.remove("body")),
            2 => drop(item.insert("body_zstd", bytes(&[1, 2, 3]))),
            3 => {
                item.remove("body");
                item.insert("body_zstd", bytes(b"not zstd"));
            }
            4 => drop(item.insert("claim_id", text("018CC251-F400-7000-8000-000000000000"))),
            5 => drop(item.insert("claimed_at", text("yesterday"))),
            6 => drop(item.insert("body", text("{\"not\": json"))),
            7 => drop(item.insert("digest", text("text"))),
            8 => drop(item.remove("claim_id")),
            _ => drop(item.remove("digest")),
        }
        let is_other_item = kind % 30 >= 20;
        if is_other_item {
            item.insert("sk", text("OTHER"));
        }
        let item = item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Self { item, is_quarantined: !is_other_item }
    }
}
