//! The way from the SDK's clients to the embedded services: one in-process HTTP client for all of them. Here a request
//! can be lost, its answer lost, throttled, refused or delayed, as a test says.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::json;

use crate::services::Services;
use crate::transport::partial_batch::Statements;

/// An embedded service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Queues.
    Sqs,
    /// The table.
    DynamoDb,
    /// The data lake.
    S3,
    /// The functions' logs.
    Logs,
}

/// A request on its way to a service.
pub struct Call<'a> {
    /// Where it goes.
    pub service: Service,
    /// `PutItem`; for S3 the method and path.
    pub operation: String,
    /// As the SDK made it.
    pub request: &'a Request<Bytes>,
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before the service has seen it.
    RequestLost,
    /// The service does it, and the connection breaks before the answer is back.
    AnswerLost,
    /// The service does it, and says that the condition failed without showing the item that is there.
    OldItemWithheld,
    /// The service says "too many requests", in its own words.
    Throttled,
    /// Of a request of many statements, those whose bit is set are not done, and the answer, which is a good one, says
    /// "too many requests" of each. Another request is done.
    StatementsThrottled(u32),
    /// Of a request of many statements, those whose bit is set are done, and the answer, which is a good one, says of each that
    /// something went wrong within the service. Another request is done.
    StatementsUnknown(u32),
    /// All statements of a request are done, and the answers to those whose bit is set left out. Another request is done.
    StatementsUnanswered(u32),
    /// The service answers with this HTTP status and does nothing.
    Refused(u16),
    /// The service does it at once, and its answer takes so long.
    AnswerDelayed(Duration),
    /// The request takes so long to reach the service, and reaches it even if nobody waits for the answer any more.
    RequestDelayed(Duration),
}

type Hook = dyn Fn(&Call<'_>) -> Option<Fault> + Send + Sync;

/// Sees every request, and says what goes wrong with it.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<Option<Arc<Hook>>>>);

impl Faults {
    /// From now on, `hook` sees each request.
    pub fn set(&self, hook: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(hook));
    }

    /// From now on, nothing goes wrong.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn of(&self, call: &Call<'_>) -> Option<Fault> {
        let hook = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        hook.and_then(|hook| hook(call))
    }
}

/// Which service and operation a request is for, by the AWS protocols: JSON services name both in a header, and what is
/// left is S3.
pub(crate) fn addressee(request: &Request<Bytes>) -> (Service, String) {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    match target.and_then(|target| target.rsplit_once('.')) {
        Some(("AmazonSQS", operation)) => (Service::Sqs, operation.to_owned()),
        Some(("Logs_20140328", operation)) => (Service::Logs, operation.to_owned()),
        Some((_, operation)) => (Service::DynamoDb, operation.to_owned()),
        None => (Service::S3, format!("{} {}", request.method(), request.uri().path())),
    }
}

impl Services {
    /// Does what a request asks, as the service would.
    ///
    /// # Errors
    /// When the request is not even HTTP that the service understands.
    pub async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, String> {
        let (service, operation) = addressee(&request);
        let call = Call { service, operation, request: &request };
        let (status, body) = match service {
            Service::S3 => {
                let response = self.lakes.answer(request.clone()).await?;
                let status = response.status().as_u16();
                self.meter.answered(&call, status);
                self.fault_plan.answered(&call, status, response.body());
                return Ok(response);
            }
            Service::Sqs => crate::sqs::protocol::answer(&self.sqs, &call.operation, &request).await,
            Service::DynamoDb => self.tables.answer(&call.operation, request.body()),
            Service::Logs => self.logs.answer(&call.operation, request.body()),
        };
        self.meter.answered(&call, status);
        self.fault_plan.answered(&call, status, &body);
        Ok(json_response(status, body))
    }

    async fn send(self: Arc<Self>, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::other(error.into(), None))?;
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
        let response = self.faulty_answer(Request::from_parts(head, body)).await?;
        HttpResponse::try_from(response.map(SdkBody::from)).map_err(|error| ConnectorError::other(error.into(), None))
    }

    /// Does what a request asks, unless something goes wrong on its way there or back.
    pub(crate) async fn faulty_answer(
        self: Arc<Self>,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, ConnectorError> {
        let (service, operation) = addressee(&request);
        let fault = self.faults.of(&Call { service, operation, request: &request });

        let lost = |what: &str| Err(ConnectorError::io(what.to_owned().into()));
        let answer =
            |request| async { self.answer(request).await.map_err(|error| ConnectorError::other(error.into(), None)) };
        match fault {
            None => answer(request).await,
            Some(Fault::RequestLost) => lost("connection reset before the request was sent"),
            Some(Fault::AnswerLost) => {
                answer(request).await?;
                lost("connection reset before the answer came")
            }
            Some(Fault::OldItemWithheld) => Ok(without_item(&answer(request).await?)),
            Some(Fault::Throttled) => Ok(throttled(service)),
            Some(
                fault @ (Fault::StatementsThrottled(_) | Fault::StatementsUnknown(_) | Fault::StatementsUnanswered(_)),
            ) => {
                let some = Statements::of(&request, fault);
                let response = match some.that_arrive(request) {
                    Some(request) => answer(request).await?,
                    None => json_response(200, json!({ "Responses": [] }).to_string()),
                };
                Ok(some.answered(response))
            }
            Some(Fault::Refused(status)) => Ok(refused(service, status)),
            Some(Fault::AnswerDelayed(delay)) => {
                let response = answer(request).await?;
                tokio::time::sleep(delay).await;
                Ok(response)
            }
            Some(Fault::RequestDelayed(delay)) => {
                let this = Arc::clone(&self);
                let arrives = tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    this.answer(request).await
                });
                let answer = arrives.await.map_err(|error| ConnectorError::other(error.into(), None))?;
                answer.map_err(|error| ConnectorError::other(error.into(), None))
            }
        }
    }
}

pub(crate) fn json_response(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    response.body(body.into()).expect("the status is a number of HTTP's")
}

fn without_item(response: &Response<Bytes>) -> Response<Bytes> {
    let mut body: serde_json::Value = serde_json::from_slice(response.body()).expect("the table answers with JSON");
    body.as_object_mut().map(|answer| answer.remove("Item"));
    json_response(response.status().as_u16(), body.to_string())
}

fn throttled(service: Service) -> Response<Bytes> {
    let code = match service {
        Service::S3 => return s3_error(503, "SlowDown"),
        Service::Sqs => "com.amazonaws.sqs#RequestThrottled",
        Service::DynamoDb => "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        Service::Logs => "ThrottlingException",
    };
    json_response(400, json!({ "__type": code, "message": "slow down" }).to_string())
}

fn refused(service: Service, status: u16) -> Response<Bytes> {
    match (service, status) {
        (Service::S3, 403) => s3_error(403, "AccessDenied"),
        (Service::S3, 409) => s3_error(409, "ConditionalRequestConflict"),
        (Service::S3, 503) => s3_error(503, "ServiceUnavailable"),
        (Service::S3, _) => s3_error(status, "InternalError"),
        (_, 400..500) => {
            json_response(status, json!({ "__type": "AccessDeniedException", "message": "no" }).to_string())
        }
        _ => json_response(status, json!({ "__type": "InternalServerError", "message": "try again" }).to_string()),
    }
}

fn s3_error(status: u16, code: &str) -> Response<Bytes> {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>injected</Message></Error>");
    Response::builder().status(status).body(body.into()).expect("the status is a number of HTTP's")
}

/// The SDK's HTTP client, in front of embedded services.
#[derive(Clone)]
pub(crate) struct Wire(pub(crate) Arc<Services>);

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(Arc::clone(&self.0).send(request))
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
