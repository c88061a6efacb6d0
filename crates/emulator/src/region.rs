//! The region and the account that the emulator uses in names, URLs and ARNs.

/// The default region of the deployed system.
pub const REGION: &str = "sa-east-1";
/// The account id that the AWS documentation uses in its examples.
pub const ACCOUNT: &str = "123456789012";
