//! Implements `stateright`'s `Model` for the protocol.

use stateright::{Model, Property};

use crate::action::Action;
use crate::protocol::Protocol;
use crate::state::{Message, Place, State};
use crate::{effect, enabled, properties};

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            second: 0,
            faults_left: self.faults,
            messages: vec![Message { receives: 0, place: Place::Visible }; self.messages.len()],
            sandboxes: Default::default(),
            claim_requests: Vec::new(),
            table: None,
            stream: Vec::new(),
            checkpoint: 0,
            archiving: None,
            late_object_requests: Vec::new(),
            lake: Vec::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        enabled::actions(self, state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        effect::apply(self, &mut next, action);
        Some(next)
    }

    fn format_step(&self, _last_state: &State, action: Action) -> Option<String> {
        Some(format!("{action:?}"))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = properties::always();
        properties.extend(properties::sometimes(self));
        properties
    }
}
