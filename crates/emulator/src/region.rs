//! The region and account that the emulator stands for.

/// The default region of the deployed system.
pub const REGION: &str = "sa-east-1";
/// The account id that AWS's own documentation uses.
pub const ACCOUNT: &str = "123456789012";
