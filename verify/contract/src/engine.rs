//! What the behaviors are tried on.

use std::fmt;

/// A service that the design stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    DynamoDb,
    Streams,
    S3,
    Sqs,
    Logs,
}

/// An implementation of some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// This crate's own services, in process.
    Embedded,
    /// AWS's own engine, for development.
    DynamoDbLocal,
    /// Queues.
    ElasticMq,
    /// All of AWS, emulated.
    Ministack,
    /// A real account.
    Aws,
}

impl Engine {
    const ALL: [Self; 5] = [Self::Embedded, Self::DynamoDbLocal, Self::ElasticMq, Self::Ministack, Self::Aws];

    /// As `CONTRACT_ENGINE` says.
    pub(crate) fn from_variables() -> Self {
        let name = std::env::var("CONTRACT_ENGINE").unwrap_or_else(|_| Self::Embedded.to_string());
        let engine = Self::ALL.into_iter().find(|engine| engine.to_string() == name);
        engine.unwrap_or_else(|| {
            panic!("CONTRACT_ENGINE is {name:?}, not one of {:?}", Self::ALL.map(|it| it.to_string()))
        })
    }

    /// Whether it has a service at all.
    pub(crate) fn has(self, service: Service) -> bool {
        match self {
            Self::Embedded | Self::Ministack | Self::Aws => true,
            Self::DynamoDbLocal => matches!(service, Service::DynamoDb | Service::Streams),
            Self::ElasticMq => service == Service::Sqs,
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Embedded => "embedded",
            Self::DynamoDbLocal => "dynamodb-local",
            Self::ElasticMq => "elasticmq",
            Self::Ministack => "ministack",
            Self::Aws => "aws",
        })
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DynamoDb => "dynamodb",
            Self::Streams => "streams",
            Self::S3 => "s3",
            Self::Sqs => "sqs",
            Self::Logs => "logs",
        })
    }
}
