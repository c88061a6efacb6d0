//! An HTTP server on loopback.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::transport::response::empty_response;

/// Starts an HTTP/1.1 server on a loopback port and returns its address. Port 0 selects a free port. The server calls
/// `connected` for each new connection, and runs until the runtime ends.
pub(crate) async fn serve<F>(
    port: u16,
    connected: impl Fn() + Send + 'static,
    handle: impl Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
) -> std::io::Result<SocketAddr>
where
    F: Future<Output = Response<Bytes>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let Ok((connection, _)) = listener.accept().await else { return };
            connected();
            let handle = handle.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let handle = handle.clone();
                    async move {
                        let (head, body) = request.into_parts();
                        let response = match body.collect().await {
                            Ok(body) => handle(Request::from_parts(head, body.to_bytes())).await,
                            Err(_incomplete) => empty_response(400),
                        };
                        Ok::<_, Infallible>(response.map(Full::new))
                    }
                });
                // This fails if the client closes the connection early, as a killed function does. For the server, that
                // is not an error.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(connection), service)
                    .await;
            });
        }
    });
    Ok(address)
}
