//! A model of packs: many claims in one object of the data lake.
//!
//! # The protocol
//!
//! `ingest-fn` gives the new events of a batch a *pack id* and writes their claims, each of which names the pack. Then
//! it *closes* the pack: it writes one more item, which lists the claims that are certainly in the table and contains
//! their lines. The item is written once and never changes. `archive-fn` writes one object from it. One rule ensures
//! that each line is archived once: any sandbox, and `replay`, may close a pack with those of its claims that it knows,
//! but only the first close succeeds. All others rely on the existing item.
//!
//! | state of the claim's pack | place of the claim's line |
//! | --- | --- |
//! | the pack lists the claim | the object of the pack |
//! | the pack exists and does not list the claim | the object of a pack of its own, whose id is the claim id |
//! | the pack does not exist | nowhere yet |
//!
//! A claim is *settled* when its line has a place. No message is acknowledged for a claim, and no claim enters the warm
//! cache, before the claim is settled. To settle a claim, a sandbox or `replay` reads the pack:
//!
//! - If the pack lists the claim, nothing is left to do.
//! - If the pack exists and does not list the claim, the reader puts a pack that lists only this claim. If that pack
//!   already exists and lists the claim, the claim is settled too.
//! - If the pack does not exist, the reader closes it with this claim. If the condition of this put fails, the reader
//!   continues with the existing item, as above. A reader whose message is a duplicate of another message first waits
//!   until `close_by`, because the winner may be about to close the pack. At the message's last receive, it does not
//!   wait.
//!
//! A put that replaces an expired packed claim returns the old claim, and the batch that sent the put settles the old
//! claim. The old claim remains unsettled if the answer is lost, or if the invocation ends earlier. No message was
//! acknowledged for an unsettled claim.
//!
//! Nobody settles a claim that expired more than [`Packs::settle_extra`] ago. A pack lives [`Packs::pack_extra`] longer
//! than its claims. `pack_extra` exceeds `settle_extra` by enough for skewed clocks and late writes. So if a pack is
//! missing while its claims may be settled, it was never closed. (If a stale read misses an existing pack, the
//! condition of the put fails.) Without the limit `settle_extra`, TTL could delete the pack before its claims. Someone
//! would then close it a second time, and a claim that only the first item lists would get a second copy.
//!
//! A claim's layout is `pack` if it names a pack, and `object` otherwise. The claim's layout, not the sandbox's
//! setting, decides how its duplicates are handled. Versions without support for packs cannot read packed claims. Their
//! `archive-fn` quarantines packed claims and skips pack records. Their `ingest-fn` reports duplicates of packed claims
//! as failed, and replaces expired packed claims without settling them. After a roll-back of `archive-fn`, `replay`
//! writes the missing objects from the pack items.
//!
//! After a point-in-time restore of the table, `ingest-fn` is off until `archive-fn` has processed the records of the
//! old table and `replay` has then rebuilt each missing pack item from its object.
//!
//! # The model
//!
//! The model has a few messages of one to three events, two sandboxes of `ingest-fn`, the table with its TTL, the
//! stream, `archive-fn`, `ops replay` and the data lake. Every [`Action`] is one step, and steps happen in any order. A
//! request or its answer can be lost, and a read can miss an existing pack item. A write can reach the table late,
//! even after its sender has died. A sandbox can be killed between any two steps, and a message can be delivered twice.
//! Dead letters are redriven under a new message id. Each [`Mutant`] breaks one rule of the protocol, and must violate
//! one of the properties in the module `properties`.
//!
//! The single-object model in the parent module checks claims, retries and `archive-fn` in more detail. This model
//! simplifies what packs do not change:
//!
//! - The answer to a request arrives in the step in which the table executes the request, unless the answer is lost.
//! - `archive-fn` starts only after `ingest-fn` has nothing left to do. It does not read the clock, and `ingest-fn`
//!   does not read the lake, so everything that `archive-fn` could do earlier, it can also do later.
//! - Each claim is written by its own request, even if `ingest-fn` would insert several claims in one request. The loss
//!   of a request with several claims therefore counts as several faults.
//! - A batch has one *chunk*: the claims that name the same pack. Several chunks of one batch would share nothing.
//!   Other chunks come from the other sandbox and from redelivered messages.
//! - An invocation ends before its deadline or is killed, and a late write reaches the table at most one second later.
//!
//! The model also leaves out the sizes of packs, and items that cannot be read. `ingest-fn` treats such an item like
//! a lost answer.
//!
//! # Quiescence
//!
//! Some properties must hold "in the end", in every state in which [`State::finished`] is true. The pipeline is then
//! *quiescent*:
//!
//! 1. Every message is acknowledged or a dead letter, no invocation and no `replay` is running, and no request is on
//!    its way.
//! 2. Then every stream record has been processed: `archive-fn` has written its object, or a version of `archive-fn`
//!    without support for packs has quarantined or skipped it.
//! 3. Then `replay` has run once while nothing else ran. It settles the claims that are not too old, and writes missing
//!    objects.
//!
//! Every run reaches such a state, because every action uses up something that is limited.

mod action;
mod archive;
mod enabled;
mod ingest;
mod machine;
mod mutant;
mod properties;
mod protocol;
mod replay;
mod settle;
mod state;
mod table;

pub use action::{Action, Actor, Loss};
pub use mutant::Mutant;
pub use properties::Situation;
pub use protocol::{Message, Packs, Writer};
pub use state::{
    Claim, Delivery, Group, Line, Object, ObjectKey, Pack, PackId, Place, Receive, Record, Request, Sandbox, State,
    Step, Task, Work,
};
