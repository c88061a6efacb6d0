//! What one message's request is made of, byte by byte: the function is handed one reading, and the address that it takes for
//! AWS keeps what comes.

use std::io::Write;

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::process::{Process, on_a_runtime};
use crate::subject::Subject;
use bench::traffic::{Relation, Size, Traffic};

/// What a header is there for; all others are HTTP's own.
const SIGNING: [&str; 4] = ["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];
const OF_THE_SDK: [&str; 4] = ["user-agent", "x-amz-user-agent", "amz-sdk-invocation-id", "amz-sdk-request"];
const CHECKSUM: [&str; 2] = ["x-amz-checksum-crc32", "x-amz-sdk-checksum-algorithm"];

/// Writes a table of what one reading of 250 bytes becomes on the wire.
pub(crate) fn write(subjects: &[&Subject], out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "| function | HTTP | signature | checksum | SDK's own headers | body | together, bytes |")?;
    writeln!(out, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |")?;
    for subject in subjects {
        let (head, body_bytes) = on_a_runtime(one_request(subject)).context(subject.name)?;
        let bytes_of = |names: &[&str]| -> usize {
            let is_one = |line: &&str| {
                let name = line.split(':').next().unwrap_or_default();
                names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted))
            };
            head.lines().filter(is_one).map(|line| line.len() + 2).sum()
        };
        let [signing, checksum, sdk] = [&SIGNING[..], &CHECKSUM, &OF_THE_SDK].map(bytes_of);
        let http = head.len() - signing - checksum - sdk;
        let all = head.len() + body_bytes;
        writeln!(out, "| {} | {http} | {signing} | {checksum} | {sdk} | {body_bytes} | {all} |", subject.name)?;
    }
    Ok(())
}

/// The head of the request that a function makes of one message, and the length of its body.
async fn one_request(subject: &Subject) -> anyhow::Result<(String, usize)> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let mut process = Process::start(subject, &endpoint).await?;
    let message = Traffic::new(subject.source, Size::Reading, Relation::Distinct).batch(1).0;
    let answered = async {
        let (mut connection, _) = listener.accept().await?;
        let request = request(&mut connection).await?;
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await?;
        anyhow::Ok(request)
    };
    let (request, ()) = tokio::try_join!(answered, process.invoke(message))?;
    Ok(request)
}

async fn request(connection: &mut TcpStream) -> anyhow::Result<(String, usize)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(read[..end + 4].to_vec())?;
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            let length: usize = length.context("the request does not say how long it is")?;
            if read.len() >= end + 4 + length {
                return Ok((head, length));
            }
        }
        ensure!(connection.read_buf(&mut read).await? > 0, "the request broke off");
    }
}
