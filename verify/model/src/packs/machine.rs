//! Implements `stateright`'s `Model` for packs.

use stateright::{Model, Property};

use super::action::Action;
use super::protocol::Packs;
use super::state::{Delivery, Notes, Place, Sandbox, State};
use super::{archive, enabled, ingest, properties, replay, table};

impl Model for Packs {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let sandbox = Sandbox { cache: vec![None; self.events()], work: None };
        vec![State {
            second: 0,
            faults_left: self.faults,
            messages: vec![Delivery { receives: 0, place: Place::Visible }; self.messages.len()],
            sandboxes: [sandbox.clone(), sandbox],
            replay: None,
            replays_left: self.replays,
            late: Vec::new(),
            claims: vec![None; self.events()],
            packs: Vec::new(),
            stream: Vec::new(),
            records_for_version_before: self.records_for_version_before,
            lake: Vec::new(),
            written: Vec::new(),
            unsettled: Vec::new(),
            backup: None,
            restored: false,
            notes: Notes::default(),
            finished: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        enabled::actions(self, state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        apply(self, &mut next, action);
        Some(next)
    }

    /// Describes a step. If the step answers or loses a request, the text contains the request.
    fn format_step(&self, last_state: &State, action: Action) -> Option<String> {
        let request = match action {
            Action::Answer(actor) | Action::MissPack(actor) | Action::Lose(actor, _) => {
                ingest::next_request(self, last_state, actor)
            }
            _ => None,
        };
        Some(match request {
            Some(request) => format!("{action:?} {request:?}"),
            None => format!("{action:?}"),
        })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = properties::always();
        properties.extend(properties::sometimes(self));
        properties
    }
}

fn apply(protocol: &Packs, state: &mut State, action: Action) {
    if action.is_fault() {
        state.faults_left -= 1;
    }
    match action {
        Action::Tick => state.second += 1,
        Action::Receive { sandbox, batch } => ingest::receive(protocol, state, sandbox, &batch),
        Action::Answer(actor) => ingest::answer(protocol, state, actor),
        Action::MissPack(actor) => ingest::miss_pack(protocol, state, actor),
        Action::Lose(actor, loss) => ingest::lose(protocol, state, actor, loss),
        Action::ArriveLate(request, sent) => table::arrive_late(protocol, state, &request, sent),
        Action::StopWaiting { sandbox } => ingest::stop_waiting(protocol, state, sandbox),
        Action::Respond { sandbox } => ingest::respond(protocol, state, sandbox),
        Action::Kill { sandbox } => ingest::kill(protocol, state, sandbox),
        Action::BecomeVisible { message } => ingest::become_visible(protocol, state, message),
        Action::Redrive { message } => state.messages[usize::from(message)].place = Place::Visible,
        Action::DeleteClaim { event } => table::delete_claim(state, event),
        Action::DeletePack(id) => table::delete_pack(state, id),
        Action::Replay { event } => replay::begin(protocol, state, event),
        Action::Backup => state.backup = Some((state.claims.clone(), state.packs.clone())),
        Action::Restore => table::restore(protocol, state),
        Action::Archive { again } => archive::archive(protocol, state, again),
        Action::ArchiveByVersionBefore => archive::archive_by_version_before(protocol, state),
        Action::Finish => replay::finish(protocol, state),
    }
}
