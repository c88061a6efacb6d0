//! The engines and services that the contract covers.

use std::fmt;

/// A service that the design relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    DynamoDb,
    Streams,
    S3,
    Sqs,
    Logs,
}

/// An implementation of some or all of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The `emulator` crate of this repository, in the test's own process.
    Embedded,
    /// DynamoDB Local, AWS's own DynamoDB for development.
    DynamoDbLocal,
    /// An open-source implementation of SQS.
    ElasticMq,
    /// An open-source emulator of many AWS services.
    Ministack,
    /// A real AWS account.
    Aws,
}

impl Engine {
    const ALL: [Self; 5] = [Self::Embedded, Self::DynamoDbLocal, Self::ElasticMq, Self::Ministack, Self::Aws];

    /// Returns the engine that `CONTRACT_ENGINE` names.
    pub(crate) fn from_variables() -> Self {
        let name = std::env::var("CONTRACT_ENGINE").unwrap_or_else(|_| Self::Embedded.to_string());
        let engine = Self::ALL.into_iter().find(|engine| engine.to_string() == name);
        engine.unwrap_or_else(|| {
            panic!("CONTRACT_ENGINE must be one of {:?}, not {name:?}", Self::ALL.map(|it| it.to_string()))
        })
    }

    /// Returns true if the engine implements `service`.
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
