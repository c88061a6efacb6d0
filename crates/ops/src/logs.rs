//! A small client for CloudWatch Logs, used because the AWS SDK's crate for this service takes a minute to compile.
//! This client speaks the service's JSON protocol and uses the same runtime crates as the AWS SDK's clients. It takes
//! credentials, timeouts and retries from an `SdkConfig`.

mod endpoint;

use std::fmt;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{self, SigV4AuthScheme};
use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::service_clock_skew::{
    DisableClockSkewCorrection, ServiceClockSkewClassifier, ServiceClockSkewInterceptor,
};
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime::client::stalled_stream_protection::StalledStreamProtectionInterceptor;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{FrozenLayer, Layer};
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The service and its version, as named in the header `X-Amz-Target`.
const TARGET: &str = "Logs_20140328";
const SERVICE_ID: &str = "CloudWatch Logs";

/// A client for CloudWatch Logs in one region.
#[derive(Clone, Debug)]
pub struct LogsClient {
    call: Operation<LogsCall, Box<RawValue>, LogsRefusal>,
}

/// The error of a call: the service refused the call, or no usable answer arrived.
pub type LogsError = SdkError<LogsRefusal, HttpResponse>;

/// The error code and message with which the service refused a call.
#[derive(Debug)]
pub struct LogsRefusal {
    status: u16,
    metadata: ErrorMetadata,
}

impl std::error::Error for LogsRefusal {}

impl fmt::Display for LogsRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.metadata.code(), self.metadata.message()) {
            (Some(code), Some(message)) => write!(f, "{code}: {message}"),
            (Some(code), None) => f.write_str(code),
            // A proxy between us and the service may answer with something other than JSON.
            (None, _) => write!(f, "HTTP status {}", self.status),
        }
    }
}

impl ProvideErrorMetadata for LogsRefusal {
    fn meta(&self) -> &ErrorMetadata {
        &self.metadata
    }
}

/// The request of `FilterLogEvents`: a search in a log group.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilterLogEvents<'a> {
    /// Name of the log group.
    pub log_group_name: &'a str,
    /// Filter pattern that an event must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter_pattern: Option<&'a str>,
    /// Start of the time range (inclusive), in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<i64>,
    /// End of the time range (exclusive), in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<i64>,
    /// Maximum number of events per page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i32>,
    /// [`LogPage::next_token`] of the previous page; `None` for the first page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<&'a str>,
}

/// One page of a search's results.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogPage {
    /// The events. A page can be empty even if another page follows.
    #[serde(default)]
    pub events: Vec<LogEvent>,
    /// Token of the next page; `None` on the last page.
    pub next_token: Option<String>,
}

/// A log event, which is one line of a function's log.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEvent {
    /// Unique id of the event.
    pub event_id: Option<String>,
    /// Text of the line.
    pub message: Option<String>,
    /// Time of the event, in milliseconds since 1970.
    pub timestamp: Option<i64>,
}

#[derive(Debug)]
struct LogsCall {
    operation: &'static str,
    body: Vec<u8>,
}

impl LogsClient {
    /// Returns a client with the region, credentials, endpoint, timeouts and retries of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        let mut call = Operation::builder()
            .service_name(SERVICE_ID)
            .operation_name("Call")
            .behavior_version(config.behavior_version().unwrap_or_else(BehaviorVersion::latest))
            .endpoint_url(&endpoint::resolve(config, SERVICE_ID))
            .standard_retry(&config.retry_config().cloned().unwrap_or_else(RetryConfig::standard))
            .retry_classifier(HttpStatusCodeClassifier::default())
            .retry_classifier(TransientErrorClassifier::<LogsRefusal>::new())
            .retry_classifier(AwsErrorCodeClassifier::<LogsRefusal>::new())
            .retry_classifier(ServiceClockSkewClassifier::<LogsRefusal>::new())
            .with_connection_poisoning()
            .interceptor(StalledStreamProtectionInterceptor::default())
            .interceptor(ServiceClockSkewInterceptor::new())
            .interceptor(RequestInfoInterceptor::new())
            .interceptor(UserAgentInterceptor::new())
            .interceptor(InvocationIdInterceptor::new())
            .runtime_plugin(
                StaticRuntimePlugin::new()
                    .with_config(signing_settings(config))
                    .with_runtime_components(signing_components(config)),
            );
        if let Some(timeouts) = config.timeout_config() {
            call = call.timeout_config(timeouts.clone());
        }
        if let Some(protection) = config.stalled_stream_protection() {
            call = call.stalled_stream_protection(protection);
        }
        if let Some(http_client) = config.http_client() {
            call = call.http_client(http_client);
        }
        if let Some(sleep) = config.sleep_impl() {
            call = call.sleep_impl(sleep);
        }
        if let Some(time_source) = config.time_source() {
            call = call.time_source(time_source);
        }
        Self { call: call.serializer(write_request).deserializer(read_response).build() }
    }

    /// Returns one page of the events that match `search`.
    pub async fn filter_log_events(&self, search: &FilterLogEvents<'_>) -> Result<LogPage, LogsError> {
        self.call("FilterLogEvents", search).await
    }

    /// Calls an operation by its name in the API reference, and parses the answer.
    pub async fn call<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: &impl Serialize,
    ) -> Result<T, LogsError> {
        let body = serde_json::to_vec(request).map_err(SdkError::construction_failure)?;
        let answer = self.call.invoke(LogsCall { operation, body }).await?;
        serde_json::from_str(answer.get()).map_err(|error| {
            let status = StatusCode::try_from(200).expect("200 is a status");
            SdkError::response_error(error, HttpResponse::new(status, SdkBody::from(answer.get())))
        })
    }
}

fn write_request(call: LogsCall) -> Result<HttpRequest, BoxError> {
    let length = call.body.len().to_string();
    let mut request = HttpRequest::new(SdkBody::from(call.body));
    request.set_method("POST")?;
    request.set_uri("/")?;
    let headers = request.headers_mut();
    headers.try_insert("content-type", "application/x-amz-json-1.1")?;
    headers.try_insert("content-length", length)?;
    headers.try_insert("x-amz-target", format!("{TARGET}.{}", call.operation))?;
    Ok(request)
}

fn read_response(response: &HttpResponse) -> Result<Box<RawValue>, OrchestratorError<LogsRefusal>> {
    let body = response.body().bytes().unwrap_or_default();
    if !response.status().is_success() {
        return Err(OrchestratorError::operation(refusal(response, body)));
    }
    // Some operations answer with an empty body, which is not valid JSON.
    let text = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(text).map_err(OrchestratorError::other)
}

fn refusal(response: &HttpResponse, body: &[u8]) -> LogsRefusal {
    #[derive(Default, Deserialize)]
    struct Body {
        #[serde(rename = "__type")]
        code: Option<String>,
        #[serde(alias = "Message")]
        message: Option<String>,
    }
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let code = response.headers().get("x-amzn-errortype").map(str::to_owned).or(body.code);
    let mut metadata = ErrorMetadata::builder();
    if let Some(code) = code {
        // The code may look like `namespace#Code:http://..`.
        let code = code.split(':').next().unwrap_or_default();
        metadata = metadata.code(code.rsplit('#').next().unwrap_or_default());
    }
    if let Some(message) = body.message {
        metadata = metadata.message(message);
    }
    LogsRefusal { status: response.status().as_u16(), metadata: metadata.build() }
}

fn signing_settings(config: &SdkConfig) -> FrozenLayer {
    let mut layer = Layer::new("logs");
    layer.store_put(SigV4OperationSigningConfig {
        region: config.region().cloned().map(Into::into),
        name: Some("logs".into()),
        ..SigV4OperationSigningConfig::default()
    });
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(ApiMetadata::new("cloudwatchlogs", env!("CARGO_PKG_VERSION")));
    if let Some(disable) = config.disable_clock_skew_correction() {
        layer.store_put(DisableClockSkewCorrection::from(disable));
    }
    layer.freeze()
}

fn signing_components(config: &SdkConfig) -> RuntimeComponentsBuilder {
    let mut components = RuntimeComponentsBuilder::new("logs")
        .with_auth_scheme(SigV4AuthScheme::new())
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![sigv4::SCHEME_ID])));
    if let Some(credentials) = config.credentials_provider() {
        components.set_identity_resolver(sigv4::SCHEME_ID, credentials);
    }
    if let Some(cache) = config.identity_cache() {
        components.set_identity_cache(Some(cache));
    }
    components
}
