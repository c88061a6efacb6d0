//! The HTTP client that connects SDK clients to the emulated services without a socket.

use std::fmt;
use std::sync::Arc;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full, Limited};
use lambda_support::function;

use crate::region::REGION;
use crate::services::Services;
use crate::transport::fault_injection::BrokenBody;

impl Services {
    /// Returns a configuration for SDK clients that call these services, with the timeouts and retries of `ingest-fn`
    /// and `archive-fn`.
    #[must_use]
    pub fn sdk_config(self: &Arc<Self>) -> SdkConfig {
        self.sdk_config_with(function::retries())
    }

    /// Returns the configuration of [`Services::sdk_config`] with `retries` instead of the functions' retries.
    #[must_use]
    pub fn sdk_config_with(self: &Arc<Self>, retries: RetryConfig) -> SdkConfig {
        let credentials = Credentials::new("embedded", "embedded", None, None, "embedded");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            // If the endpoint is an IP address, the S3 client puts the bucket's name into the path instead of the host.
            // Nothing is sent to this address.
            .endpoint_url("http://127.0.0.1")
            .http_client(InProcessHttpClient(Arc::clone(self)))
            .time_source(self.clock.shared())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .timeout_config(function::timeouts())
            .retry_config(retries)
            .build()
    }
}

/// An HTTP client that passes the SDK's requests to the emulated services.
#[derive(Clone)]
struct InProcessHttpClient(Arc<Services>);

impl fmt::Debug for InProcessHttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcessHttpClient")
    }
}

impl HttpConnector for InProcessHttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(send(Arc::clone(&self.0), request))
    }
}

impl HttpClient for InProcessHttpClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

async fn send(services: Arc<Services>, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::other(error.into(), None))?;
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
    let response = services.faulty_answer(Request::from_parts(head, body)).await?;
    let is_broken = response.extensions().get::<BrokenBody>().is_some();
    // Reading a body that is longer than the limit fails.
    let broken = |body| SdkBody::from_body_1_x(Limited::new(Full::new(body), 0));
    let response = response.map(|body: Bytes| if is_broken { broken(body) } else { SdkBody::from(body) });
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}
