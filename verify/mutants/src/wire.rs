//! Mutants that rewrite the functions' requests to AWS, or the answers to these requests.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::mutant::Mutant;

const CONFLICT: u16 = 409;
const PRECONDITION_FAILED: u16 = 412;

/// A condition that is always true. It uses every name and value that the request defines, because DynamoDB rejects
/// requests with unused names or values.
const ALWAYS: &str = "attribute_not_exists(pk) OR attribute_exists(pk) OR #ttl < :now";

/// An HTTP client that sends requests with another client, and applies a mutant to the requests and their answers.
#[derive(Clone, Debug)]
pub(crate) struct RewritingClient {
    mutant: Mutant,
    inner: SharedHttpClient,
}

#[derive(Debug)]
struct RewritingConnector {
    mutant: Mutant,
    inner: SharedHttpConnector,
}

impl RewritingClient {
    pub(crate) fn new(mutant: Mutant, inner: SharedHttpClient) -> Self {
        Self { mutant, inner }
    }
}

impl HttpClient for RewritingClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(RewritingConnector { mutant: self.mutant, inner })
    }
}

impl HttpConnector for RewritingConnector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let mutant = self.mutant;
        let operation = operation(&request);
        let sent = json_body(request.body());
        match (mutant, operation.as_str()) {
            (Mutant::ClaimWithoutCondition, "PutItem") => {
                let mut put = sent.clone();
                put["ConditionExpression"] = ALWAYS.into();
                *request.body_mut() = SdkBody::from(put.to_string());
            }
            (Mutant::PutWithoutIfNoneMatch, "PUT") => drop(request.headers_mut().remove("if-none-match")),
            _ => {}
        }
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            rewrite_answer(mutant, &operation, &sent, &mut answer);
            Ok(answer)
        })
    }
}

/// Returns the operation of a DynamoDB request, such as `PutItem`, or the HTTP method of a request to S3.
fn operation(request: &HttpRequest) -> String {
    let target = request.headers().get("x-amz-target").and_then(|target| target.rsplit_once('.'));
    target.map_or(request.method(), |(_, operation)| operation).to_owned()
}

/// Parses `body`. Returns `Value::Null` if the body is not JSON.
fn json_body(body: &SdkBody) -> Value {
    body.bytes().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
}

/// Applies `mutant` to the answer that a service gave to the request `sent`.
fn rewrite_answer(mutant: Mutant, operation: &str, sent: &Value, answer: &mut HttpResponse) {
    match (mutant, operation) {
        (Mutant::ThrottleIsDuplicate, "PutItem") => {
            let is_throttle = json_body(answer.body())["__type"]
                .as_str()
                .is_some_and(|kind| kind.ends_with("ProvisionedThroughputExceededException"));
            if is_throttle {
                let refused = json!({
                    "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                    "message": "The conditional request failed",
                    "Item": with_other_claim_id(&sent["Item"]),
                });
                *answer.body_mut() = SdkBody::from(refused.to_string());
            }
        }
        (Mutant::DuplicateItemIsOwn, "BatchExecuteStatement") => {
            drop_errors(answer, |code| code == "DuplicateItem");
        }
        (Mutant::StatementErrorIsWon, "BatchExecuteStatement") => {
            drop_errors(answer, |code| code != "DuplicateItem");
        }
        (Mutant::ConflictIsAlreadyThere, "PUT") if answer.status().as_u16() == CONFLICT => {
            *answer.status_mut() = PRECONDITION_FAILED.try_into().expect("412 is a valid HTTP status");
        }
        _ => {}
    }
}

/// Returns `item` with a different claim id. With the same id, the function would treat the item as its own write.
fn with_other_claim_id(item: &Value) -> Value {
    let mut other = item.clone();
    let mut claim_id = item["claim_id"]["S"].as_str().unwrap_or_default().to_owned();
    let last = claim_id.pop();
    claim_id.push(if last == Some('0') { '1' } else { '0' });
    other["claim_id"]["S"] = claim_id.into();
    other
}

/// Turns the error of each statement into a success if `is_dropped` returns true for the error code.
fn drop_errors(answer: &mut HttpResponse, is_dropped: impl Fn(&str) -> bool) {
    let mut body = json_body(answer.body());
    for response in body["Responses"].as_array_mut().into_iter().flatten() {
        if response["Error"]["Code"].as_str().is_some_and(&is_dropped) {
            *response = json!({ "TableName": response["TableName"] });
        }
    }
    *answer.body_mut() = SdkBody::from(body.to_string());
}
