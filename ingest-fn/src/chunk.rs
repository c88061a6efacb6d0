//! Divides the new claims of a batch into chunks. The claims of a chunk name the same pack.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use claim::pack::{MAX_CHUNK_BYTES, MAX_CHUNK_CLAIMS};
use claim::{BodyTooLarge, Claim, Layout, PackRef};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use uuid::Uuid;

use crate::claim_table::HeldClaim;
use crate::plan::Leader;
use crate::random::Random;

/// The chunks of a batch.
pub(crate) struct Chunks {
    close_by_ms: u64,
    open: Mutex<Option<OpenChunk>>,
    started: UnboundedSender<Chunk>,
}

/// The chunk that new claims join.
struct OpenChunk {
    pack: PackRef,
    started_at: SystemTime,
    claims: usize,
    bytes: usize,
    slot: Slot,
}

/// A chunk whose claims are being written. `won` ends when each claim is won, lost or failed, and no claim can join the
/// chunk any more.
pub(crate) struct Chunk {
    pub(crate) pack_id: Uuid,
    pub(crate) won: UnboundedReceiver<WonClaim>,
}

/// A packed claim that is certainly in the table.
pub(crate) struct WonClaim {
    /// Index of the claim's group in the batch.
    pub(crate) index: usize,
    /// The claim, without its body.
    pub(crate) claim: Claim,
    pub(crate) held: HeldClaim,
    /// The expired packed claim that this claim has replaced.
    pub(crate) replaced: Option<Box<Claim>>,
}

/// The place of one claim in its chunk. The chunk is complete when all slots are dropped, so a claim that fails, loses or
/// is cancelled does not delay its chunk.
#[derive(Clone)]
pub(crate) struct Slot(UnboundedSender<WonClaim>);

/// A claim that is not in the table yet.
pub(crate) struct NewClaim {
    pub(crate) claim: Claim,
    /// The place in its chunk if the claim is packed.
    pub(crate) slot: Option<Slot>,
}

impl Slot {
    /// Adds a claim to the pack of its chunk.
    pub(crate) fn fill(self, won: WonClaim) {
        // The chunk is dropped only at the function's deadline. The messages of the claim are then reported as failed.
        let _ = self.0.send(won);
    }
}

impl Chunks {
    /// Returns the chunks of a batch, and the channel that receives each chunk when its first claim is created.
    pub(crate) fn new(close_by_ms: u64) -> (Self, UnboundedReceiver<Chunk>) {
        let (started, chunks) = unbounded_channel();
        (Self { close_by_ms, open: Mutex::default(), started }, chunks)
    }

    /// Creates the claim of the leader's event. A claim that is too large for a pack has an object of its own.
    pub(crate) fn new_claim(
        &self,
        leader: &Leader,
        now: SystemTime,
        window: Duration,
        random: &Random,
    ) -> Result<NewClaim, BodyTooLarge> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let chunk = open.get_or_insert_with(|| self.start_chunk(now, random));
        // If the clock were set back, a claim could be in an hour before that of its pack, where no one looks for it.
        let now = now.max(chunk.started_at);
        let packed =
            Claim::with_layout(&leader.event, &leader.source(), now, window, &random(), Layout::Pack(chunk.pack));
        let mut claim = match packed {
            Ok(claim) => claim,
            // The item of a packed claim is a little larger.
            Err(_) => Claim::new(&leader.event, &leader.source(), now, window, &random())?,
        };
        let bytes = claim.pack_bytes();
        if bytes > MAX_CHUNK_BYTES {
            claim.layout = Layout::Object;
            return Ok(NewClaim { claim, slot: None });
        }
        if chunk.claims == MAX_CHUNK_CLAIMS || chunk.bytes + bytes > MAX_CHUNK_BYTES {
            *chunk = self.start_chunk(now, random);
        }
        claim.layout = Layout::Pack(chunk.pack);
        chunk.claims += 1;
        chunk.bytes += bytes;
        Ok(NewClaim { claim, slot: Some(chunk.slot.clone()) })
    }

    fn start_chunk(&self, now: SystemTime, random: &Random) -> OpenChunk {
        let (sender, won) = unbounded_channel();
        let pack = PackRef { pack_id: Claim::id_at(now, &random()), close_by_ms: self.close_by_ms };
        // The receiver is dropped only at the function's deadline. No claim of the chunk is written then.
        let _ = self.started.send(Chunk { pack_id: pack.pack_id, won });
        OpenChunk { pack, started_at: now, claims: 0, bytes: 0, slot: Slot(sender) }
    }
}
