//! Reads single items and pages of a scan from the claim table.

use std::collections::HashMap;
use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::operation::scan::{ScanError, ScanOutput};
use aws_sdk_dynamodb::types::AttributeValue;
use claim::key::SORT_KEY;
use claim::{Pack, pack};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Every attribute of a claim except the body, and of a pack except the lines. Without these, a scan transfers less data
/// but costs the same read units, because DynamoDB charges for whole items.
const WITHOUT_BODY: &str =
    "pk, sk, layout, claim_id, claimed_at, #ttl, digest, message_id, trace_id, pack_id, close_by, claim_ids";

/// An item as the SDK returns it.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The primary key of an item. An event can have one claim for each dedup key. These claims differ in their sort keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct ItemKey {
    pub(super) pk: Box<str>,
    pub(super) sk: Box<str>,
}

impl ItemKey {
    pub(super) fn of_pack(pack_id: Uuid) -> Self {
        Self { pk: Pack::partition_key(pack_id).into(), sk: pack::SORT_KEY.into() }
    }
}

/// Writes the partition key, and also the sort key of a claim if it is not the default one.
impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pk, sk } = self;
        if [SORT_KEY, pack::SORT_KEY].contains(&&**sk) { f.write_str(pk) } else { write!(f, "{pk} ({sk})") }
    }
}

/// The identity of a table. The ARN names the region and the account. The id distinguishes the table from an earlier,
/// deleted table with the same ARN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TableIdentity {
    pub(super) arn: String,
    pub(super) id: Option<String>,
}

/// The claim table.
pub(super) struct ClaimTable {
    client: Client,
    pub(super) name: String,
}

impl ClaimTable {
    pub(super) fn new(sdk: &SdkConfig, name: &str) -> Self {
        Self { client: Client::new(sdk), name: name.to_owned() }
    }

    /// Returns the table's identity, or `None` if DynamoDB's answer has no ARN.
    pub(super) async fn identity(&self) -> Result<Option<TableIdentity>, SdkError<DescribeTableError>> {
        let answer = Box::pin(self.client.describe_table().table_name(&self.name).send()).await?;
        Ok(answer.table.and_then(|table| Some(TableIdentity { arn: table.table_arn?, id: table.table_id })))
    }

    /// Returns the whole item with this key, or `None` if the table has no such item.
    pub(super) async fn get(&self, item: &ItemKey) -> Result<Option<Item>, Box<SdkError<GetItemError>>> {
        let key = key(item.pk.to_string(), item.sk.to_string());
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
        Box::pin(request.send()).await.map(|answer| answer.item).map_err(Box::new)
    }

    /// Returns the claims of all dedup keys and the packs on one page of a segment, without bodies and lines. The page can
    /// also have other items whose sort key begins with `CLAIM`. `after` is the `pk` and `sk` at which the previous page ended.
    pub(super) async fn scan_page(
        &self,
        segment: usize,
        segments: usize,
        after: Option<(String, String)>,
    ) -> Result<ScanOutput, SdkError<ScanError>> {
        let as_number = |number: usize| i32::try_from(number).expect("there are at most 1,000 segments");
        let request = self
            .client
            .scan()
            .table_name(&self.name)
            .segment(as_number(segment))
            .total_segments(as_number(segments))
            .consistent_read(true)
            .filter_expression("begins_with(sk, :claim) OR sk = :pack")
            .expression_attribute_values(":claim", AttributeValue::S(SORT_KEY.to_owned()))
            .expression_attribute_values(":pack", AttributeValue::S(pack::SORT_KEY.to_owned()))
            .projection_expression(WITHOUT_BODY)
            .expression_attribute_names("#ttl", "ttl")
            .set_exclusive_start_key(after.map(|(pk, sk)| key(pk, sk)));
        Box::pin(request.send()).await
    }
}

fn key(pk: String, sk: String) -> Item {
    HashMap::from([("pk".to_owned(), AttributeValue::S(pk)), ("sk".to_owned(), AttributeValue::S(sk))])
}
